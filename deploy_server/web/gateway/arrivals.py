"""Answers that threads made, on their way to the loop: those that come together wake it once."""

import asyncio
import threading

from deploy_server.web.gateway.answer import Answer

Arriving = asyncio.Future[Answer]


class Arrivals:
    """Answers that nobody fetched yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._arrived: list[tuple[Arriving, Answer]] = []

    def add(self, arriving: Arriving, answer: Answer) -> None:
        """Hand an answer over to whoever waits for it in a loop; called by any thread."""
        with self._lock:
            self._arrived.append((arriving, answer))
            is_first = len(self._arrived) == 1
        if not is_first:
            return
        try:
            arriving.get_loop().call_soon_threadsafe(self._hand_out)
        except RuntimeError:
            self._arrived.clear()  # the loop was closed: nobody waits any more

    def _hand_out(self) -> None:
        with self._lock:
            arrived, self._arrived = self._arrived, []
        for arriving, answer in arrived:
            if not arriving.done():
                arriving.set_result(answer)
