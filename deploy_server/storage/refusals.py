"""What uploads are refused for, in the same words wherever they are kept."""

import re
from pathlib import Path

from deploy_server.domain.errors import Conflict, NotFound, SpecError, TooLarge

_ID = re.compile(r"[0-9a-f]{32}\Z", re.ASCII)
_NAME_MAX = 255
# No database, archive or list does well with them.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def is_id(text: str) -> bool:
    """Whether an upload may be called so."""
    return _ID.match(text) is not None


def file_name(name: str) -> str:
    """Return the last part of what a browser calls a file.

    Raises:
        SpecError: there is nothing in it.
    """
    last = Path(_CONTROL.sub("", name.replace("\\", "/"))).name[:_NAME_MAX]
    if last in ("", ".."):
        raise SpecError("file", "the file has no name", "Choose a file")
    return last


def check_size(length: int, limit: int) -> None:
    """Return when so many bytes may be sent.

    Raises:
        SpecError: that is no length.
        TooLarge: they are more than `limit`.
    """
    if length < 0:
        raise SpecError("file", f"{length} bytes is no length", "Choose a file")
    if length > limit:
        raise TooLarge(
            f"the file has {length:,} bytes, more than the {limit:,} that are allowed",
            "Raise max_package_bytes in server.toml, or send a smaller file",
        )


def not_here() -> NotFound:
    """Say that there is no such upload, or that it is somebody else's."""
    return NotFound("that upload is not here any more", "Choose the file again")


def being_written() -> Conflict:
    """Say that somebody else writes to it."""
    return Conflict("this upload is already being written", "Wait a moment, then go on")


def other_offset(here: int, offset: int) -> Conflict:
    """Say that bytes were sent for another place than its end."""
    return Conflict(
        f"the upload has {here} bytes, not {offset}", "Ask how far it is and go on from there"
    )


def not_complete(name: str, offset: int, length: int | None) -> Conflict:
    """Say that bytes are missing."""
    return Conflict(
        f"{name} has arrived with {offset} of {length} bytes",
        "Wait until it is complete, or choose the file again",
    )


def not_what_was_sent(name: str, start: int) -> Conflict:
    """Say that its bytes are not those that the sender means."""
    return Conflict(
        f"what arrived of {name} from byte {start} on is not what was sent",
        "Go on from there; if it happens again, look at the server's storage and the way to it",
    )


def is_too_much(limit: int) -> TooLarge:
    """Say that more came than was announced."""
    return TooLarge(
        f"more than the {limit:,} bytes that were announced or are allowed arrived",
        "Choose the file again; the limit is max_package_bytes in server.toml",
    )
