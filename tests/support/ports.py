"""Free TCP ports of 127.0.0.1, never the same one twice in a test process."""

import socket

_given: set[int] = set()


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now. All are held open until the last is found, so they differ."""
    held: list[socket.socket] = []
    found: list[int] = []
    try:
        while len(found) < count:
            listener = socket.socket()
            held.append(listener)
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
            if port not in _given:
                _given.add(port)
                found.append(port)
    finally:
        for listener in held:
            listener.close()
    return found


def free_port() -> int:
    """One free port."""
    return free_ports(1)[0]
