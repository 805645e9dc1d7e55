"""What can go wrong on the agent, by whose fault it is.

AgentError
  PackageError              ends this package; its `code` is reported
    BadPackageId            ERR_BAD_ID            info names another id
    InfoUnavailable         ERR_DOWNLOAD_INFO     no info file after all tries
    BadInfo                 ERR_BAD_PARAM         a field is missing or wrong; carries `field`
    NoCommand               ERR_EXECUTE_PACK      neither NAME nor COMMAND
    FragmentsUnavailable    ERR_DOWNLOAD_PACK     no fragment after all tries
    BadDigest               ERR_BAD_DIGEST        not the server's bytes
    JoinFailed              ERR_BUILD             the fragments cannot be joined
    UnpackFailed            ERR_UNZIP             the archive is damaged, foreign or dangerous
    OutOfSpace              ERR_OUT_OF_SPACE
    CleanFailed             ERR_CLEAN             the old tree cannot be emptied
    ActionFailed            ERR_EXECUTE           could not start or copy
    ActionTimeout           ERR_EXECUTE_TIMEOUT
    OutcomeUnknown          ERR_DONE_FAILED       nobody can say how the action ended
    Expired                 ERR_TIMEOUT           older than DOWNLOAD_TIMEOUT days
    Aborted                 ERR_ABORTED           the user said no
  TransientError            no answer that means anything: tried again, never ends a package
    ServerUnreachable
    HttpStatus              408, 429, 5xx; carries `status`
    ShortRead
    TooSlow
  DefiniteError             an answer, and it is no: counted per file, five in a row end a package
    HttpRefusal             404, 410 and the like; carries `status`
    TlsRefused              carries `reason`
    WrongBytes              not what was promised
      TooLong
    RedirectRefused
  LocalError                stops the agent with `exit_status`
    ConfigError             2
    LockHeld                75
    StoreError              4

Each carries a message (what and why) and a hint (what to do). `str()` is one line for a terminal.
"""

from enum import StrEnum
from typing import ClassVar

from deploy_agent.wire import result


class AgentError(Exception):
    """Something went wrong.

    Attributes:
        message: what and why; a sentence without a full stop.
        hint: what to do about it; may be empty.
        code: a stable word for programs; of a `PackageError` the result code.
    """

    code: ClassVar[str] = "ERROR"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Return message and hint in one line."""
        parts = [self.message, self.hint] if self.hint else [self.message]
        return ". ".join(" ".join(part.split()).rstrip(".") for part in parts)


class PackageError(AgentError):
    """This package ends here, with `code` as its result."""


class BadPackageId(PackageError):
    """The info file is that of another package."""

    code = result.ERR_BAD_ID


class InfoUnavailable(PackageError):
    """The info file was definitely refused."""

    code = result.ERR_DOWNLOAD_INFO


class BadInfo(PackageError):
    """A field of the info file is missing or wrong.

    Attributes:
        field: OCS's name of it.
    """

    code = result.ERR_BAD_PARAM

    def __init__(self, message: str, *, field: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.field = field


class NoCommand(PackageError):
    """The package has neither NAME nor COMMAND, so there is nothing to run."""

    code = result.ERR_EXECUTE_PACK


class FragmentsUnavailable(PackageError):
    """A fragment was definitely refused."""

    code = result.ERR_DOWNLOAD_PACK


class BadDigest(PackageError):
    """The bytes are not those that the info file promises."""

    code = result.ERR_BAD_DIGEST


class JoinFailed(PackageError):
    """The fragments cannot be joined."""

    code = result.ERR_BUILD


class UnpackFailed(PackageError):
    """The archive is damaged, of another kind, or would write where it must not."""

    code = result.ERR_UNZIP


class OutOfSpace(PackageError):
    """The disk is too full for this package."""

    code = result.ERR_OUT_OF_SPACE


class CleanFailed(PackageError):
    """What an earlier try left behind cannot be removed, so work cannot go on."""

    code = result.ERR_CLEAN


class ActionFailed(PackageError):
    """The action could not start, or a file could not be copied."""

    code = result.ERR_EXECUTE


class ActionTimeout(PackageError):
    """The action took longer than its execution timeout."""

    code = result.ERR_EXECUTE_TIMEOUT


class OutcomeUnknown(PackageError):
    """The action was started, and nothing says how it ended."""

    code = result.ERR_DONE_FAILED


class Expired(PackageError):
    """The package took longer than DOWNLOAD_TIMEOUT days."""

    code = result.ERR_TIMEOUT


class Aborted(PackageError):
    """The user cancelled the package."""

    code = result.ERR_ABORTED


class TransientError(AgentError):
    """No answer that means anything: the same request may succeed later; nothing is reported.

    Attributes:
        retry_after_s: seconds that the server asked for, None when it did not.
    """

    code = "TRANSIENT_ERROR"

    def __init__(self, message: str, hint: str = "", *, retry_after_s: float | None = None) -> None:
        super().__init__(message, hint)
        self.retry_after_s = retry_after_s


class ServerUnreachable(TransientError):
    """No connection: no such name, refused, reset, no route, a proxy in the way."""

    code = "SERVER_UNREACHABLE"


class HttpStatus(TransientError):
    """The server answered that it cannot answer now: 408, 429, 5xx, a proxy's 407.

    Attributes:
        status: the HTTP status.
    """

    code = "HTTP_STATUS"

    def __init__(
        self, message: str, *, status: int, hint: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, hint, retry_after_s=retry_after_s)
        self.status = status


class ShortRead(TransientError):
    """The answer ended before its length was reached."""

    code = "SHORT_READ"


class TooSlow(TransientError):
    """The answer did not come in time."""

    code = "TOO_SLOW"


class DefiniteError(AgentError):
    """The other side answered, and the answer is no."""

    code = "DEFINITE_ERROR"


class HttpRefusal(DefiniteError):
    """404, 410 and every other status that is neither a success nor transient.

    Attributes:
        status: the HTTP status.
    """

    code = "HTTP_REFUSAL"

    def __init__(self, message: str, *, status: int, hint: str = "") -> None:
        super().__init__(message, hint)
        self.status = status


class TlsReason(StrEnum):
    """Why a TLS connection was refused."""

    UNKNOWN_CA = "unknown CA"
    WRONG_NAME = "wrong name"
    NO_SAN = "no subject alternative name"
    EXPIRED = "expired"
    NOT_YET_VALID = "not yet valid"
    PLAIN_HTTP = "plain HTTP"
    OTHER = "refused"


class TlsRefused(DefiniteError):
    """The other side could not prove who it is, or speaks no acceptable TLS.

    Attributes:
        reason: which of the ways to fail.
    """

    code = "TLS_REFUSED"

    def __init__(self, message: str, *, reason: TlsReason, hint: str = "") -> None:
        super().__init__(message, hint)
        self.reason = reason


class WrongBytes(DefiniteError):
    """What came is not what was promised: too long, another digest, not the format."""

    code = "WRONG_BYTES"


class TooLong(WrongBytes):
    """More came, or was promised, than could be taken."""

    code = "TOO_LONG"


class RedirectRefused(DefiniteError):
    """The answer points to where this request must not go."""

    code = "REDIRECT_REFUSED"


class LocalError(AgentError):
    """The agent cannot go on; it stops with `exit_status`."""

    code = "LOCAL_ERROR"
    exit_status: ClassVar[int] = 1


class ConfigError(LocalError):
    """The configuration is wrong or missing."""

    code = "CONFIG_ERROR"
    exit_status = 2


class LockHeld(LocalError):
    """Another agent works on the same state."""

    code = "LOCK_HELD"
    exit_status = 75


class StoreError(LocalError):
    """The state cannot be read or written."""

    code = "STORE_ERROR"
    exit_status = 4
