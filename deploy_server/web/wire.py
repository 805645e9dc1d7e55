"""The one address that agents talk to: bytes in, bytes out.

Who may speak, how much may be said, what is answered when it makes no sense. Nothing an agent sends
is ever answered 500 (contract.md 4); a refusal is one line of text. What a message means is
services/contact's; its effects are durable before the answer leaves.

Nothing here knows Flask. Most of what a fleet says all day is answered by `open` from what is in
the database; what changes something is left over as work, which may wait for others.
"""

from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from deploy_agent.wire import terms
from deploy_agent.wire.envelope import Envelope, pack, unpack
from deploy_agent.wire.errors import TooLargeError, WireError
from deploy_agent.wire.messages import DownloadReport, Inventory, Prolog, Request, parse_request
from deploy_server.services import gate
from deploy_server.services.activity import Activity, Caller
from deploy_server.services.contact import Sightings, answer, look
from deploy_server.services.refusals import AgentRefused, remember
from deploy_server.storage.readers import Readers
from deploy_server.storage.turns import Run, Writer

#: Where agents talk to.
PATH = "/ocsinventory"


@dataclass(frozen=True, slots=True)
class Call:
    """A message as it came.

    Attributes:
        body: not more than `Wire.body_max` bytes.
        user_agent: as the agent names itself, '' where it does not.
        remote: the address it came from.
    """

    body: bytes
    user_agent: str
    remote: str

    def note(self, activity: Activity, comment: str = "") -> None:
        """Write a line of the activity log."""
        Caller("", self.remote, self.user_agent).note(activity, comment)


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered.

    Attributes:
        status: of HTTP.
        body: its bytes.
        content_type: '' for none.
        cache_control: '' for none.
        kind: what it answers: prolog, inventory, report; refused where nobody could read that.
    """

    status: int
    body: bytes
    content_type: str
    cache_control: str = ""
    kind: str = "refused"


#: Gives the reply, or raises why there is none.
Result = Callable[[], Reply]


class Work:
    """What is left of a call, and may wait for others.

    Args:
        do: does it.
    """

    def __init__(self, do: Result) -> None:
        self._do = do

    def __call__(self) -> Reply:
        """Do it here."""
        return self._do()

    def queue(self, run: Run, done: Callable[[Result], None]) -> None:
        """Have it done in a thread that `run` finds; `done` is told there."""
        run(lambda: done(self._do))


class _Written(Work):
    """What is committed before it is answered, with others where that is cheaper.

    Args:
        writer: does it.
        answer: makes the bytes of an answer.
        device_id: who asks.
        made: makes the reply of those bytes.
    """

    def __init__(
        self,
        writer: Writer,
        answer: Callable[[Session], bytes],
        device_id: str,
        made: Callable[[bytes], Reply],
    ) -> None:
        super().__init__(lambda: made(writer.do(self._work, device_id)))
        self._writer = writer
        self._answer = answer
        self._device_id = device_id
        self._made = made
        # Whoever does it, its lines in the log are those of this request.
        self._context = copy_context()

    def queue(self, run: Run, done: Callable[[Result], None]) -> None:
        """Have it done with others."""

        def told(answer: Callable[[], bytes]) -> None:
            done(lambda: self._made(answer()))

        self._writer.queue(self._work, self._device_id, run, told)

    def _work(self, session: Session) -> bytes:
        return self._context.run(self._answer, session)


@dataclass(frozen=True, slots=True)
class Wire:
    """What answers agents.

    Attributes:
        readers: sessions for what only reads; where answers are made at once, impatient ones.
        patient: sessions for what those could not read.
        writer: does what changes something.
        sightings: when computers were last in contact.
        clock: tells the time; aware, UTC.
        is_plain: asked without TLS.
        message_max: bytes of a message, inflated.
    """

    readers: Readers
    patient: Readers
    writer: Writer
    sightings: Sightings
    clock: Callable[[], datetime]
    is_plain: bool
    message_max: int

    @property
    def body_max(self) -> int:
        """Bytes that a body may have; compression adds some to what cannot be compressed."""
        return self.message_max + 64 * 1024

    def open(self, call: Call) -> Reply | Work:
        """Answer a call, or return what is left to do for it."""
        try:
            with self.readers.session() as session:
                return self._opened(session, call)
        except DBAPIError:
            # A connection that was kept may be one to a server that went away, or somebody has
            # the whole database for a moment. What is left to do says what is wrong where it fails
            # again.
            return Work(lambda: self._done_at_length(call))

    def _done_at_length(self, call: Call) -> Reply:
        with self.patient.session() as session:
            opened = self._opened(session, call)
        return opened if isinstance(opened, Reply) else opened()

    def _opened(self, session: Session, call: Call) -> Reply | Work:
        if self.is_plain and not gate.is_http_allowed(session):
            return Work(lambda: self._refused_plain(call))
        if not gate.is_known_agent(session, call.user_agent):
            return Work(lambda: self._refused_agent(call, _UNKNOWN_AGENT))
        try:
            data, envelope = unpack(call.body, limit=self.message_max)
            message = parse_request(data, limit=self.message_max)
        except TooLargeError:
            return self.too_large(call)
        except WireError as error:
            call.note(Activity.REFUSED_MESSAGE, str(error))
            return _refusal(400, f"the message cannot be read: {error}")
        now = self.clock().replace(microsecond=0)
        who = {"user_agent": call.user_agent, "remote": call.remote}
        try:
            quick = look(session, message, now=now, **who)
        except AgentRefused as refused:
            why = refused.message
            return Work(lambda: self._refused_agent(call, why))
        if quick is None:
            return self._answered(message, envelope, call)
        if quick.computer_id is not None:
            self.sightings.note(quick.computer_id, now, call.user_agent)
        return _reply(_packed(quick.xml, envelope), message)

    def _answered(self, message: Request, envelope: Envelope, call: Call) -> Work:
        def xml(session: Session) -> bytes:
            now = self.clock().replace(microsecond=0)
            return answer(session, message, now=now, user_agent=call.user_agent, remote=call.remote)

        def reply(xml: bytes) -> Reply:
            # A report is answered 200 and nothing, not even a type.
            if xml:
                return _reply(pack(xml, envelope), message)
            return Reply(200, b"", "", _NO_CACHE, _KINDS[type(message)])

        return _Written(self.writer, xml, message.device_id, reply)

    def too_large(self, call: Call) -> Reply:
        """Refuse a message for its length."""
        call.note(Activity.REFUSED_SIZE)
        return _refusal(413, f"the message is longer than {self.message_max} bytes, inflated")

    def _refused_agent(self, call: Call, why: str) -> Reply:
        call.note(Activity.REFUSED_AGENT, why)
        now, device_id = self.clock().replace(microsecond=0), self._device_id(call)
        who = {"device_id": device_id, "agent": call.user_agent, "remote": call.remote}
        self.writer.do(lambda session: remember(session, **who, why=why, now=now), call.remote)
        return _refusal(400, why)

    def _device_id(self, call: Call) -> str:
        """Whose message it is, '' where it cannot be read."""
        try:
            data, _ = unpack(call.body, limit=self.message_max)
            return parse_request(data, limit=self.message_max).device_id
        except WireError:
            return ""

    def _refused_plain(self, call: Call) -> Reply:
        now = self.clock().replace(microsecond=0)
        self.writer.do(lambda session: gate.count_refused(session, now), call.remote)
        call.note(Activity.REFUSED_HTTP)
        return _refusal(
            403,
            "agents may not report over plain HTTP here: give the agent the https:// address of"
            " this server, or allow it with: deploy-server setting set AGENTS_OVER_HTTP 1",
        )


_NO_CACHE = "no-cache"

_UNKNOWN_AGENT = (
    "this User-Agent is not one of the agents that are served here; the setting AGENTS_ALLOWED adds"
    " more"
)

#: What messages are counted as.
_KINDS = {Prolog: "prolog", Inventory: "inventory", DownloadReport: "report"}

# What thousands are told in the same words is packed once; an offer is one computer's.
_SAME_MAX = 2048
_same = lru_cache(maxsize=256)(pack)


def _packed(xml: bytes, envelope: Envelope) -> bytes:
    return _same(xml, envelope) if len(xml) <= _SAME_MAX else pack(xml, envelope)


def not_posted() -> Reply:
    """Refuse what is no message."""
    return _refusal(405, "agents POST their messages here; there is nothing else to see")


def _reply(body: bytes, message: Request) -> Reply:
    return Reply(200, body, terms.CONTENT_TYPE_REPLY, _NO_CACHE, _KINDS[type(message)])


def _refusal(status: int, text: str) -> Reply:
    line = " ".join(text.split())
    return Reply(status, f"{line}\n".encode(), "text/plain; charset=utf-8")
