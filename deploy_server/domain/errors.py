"""What the server refuses, and with which HTTP status.

DeployError
  SpecError         422  one field of what a person filled in is wrong
  SpecErrors        422  several of them at once
  BadMessage        400  a machine sent something that makes no sense
  Forbidden         403
  NotFound          404
  Conflict          409  the state of things does not allow it
  TooLarge          413
  StorageError      503  disk or database cannot take it now
  InternalError     500  a mistake of the program

Each carries a message (what and why) and a hint (what to do). `str()` is one line for a terminal.
"""

from collections.abc import Sequence


class DeployError(Exception):
    """Something was refused; nothing was changed.

    Attributes:
        message: what was refused and why; a sentence without a full stop.
        hint: what to do about it; may be empty.
        status: the HTTP status that says so.
    """

    status = 500

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def code(self) -> str:
        """A stable word for programs: the class's name."""
        return type(self).__name__

    def __str__(self) -> str:
        """Return message and hint in one line."""
        parts = [self.message, self.hint] if self.hint else [self.message]
        return ". ".join(" ".join(part.split()).rstrip(".") for part in parts)


class SpecError(DeployError):
    """A field of a form or command has a wrong value.

    Attributes:
        field: its name in the specification, such as `priority`.
    """

    status = 422

    def __init__(self, field: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.field = field


class SpecErrors(DeployError):
    """Several fields are wrong, so that a form can show all of them at once.

    Attributes:
        errors: at least one.
    """

    status = 422

    def __init__(self, errors: Sequence[SpecError]) -> None:
        super().__init__("; ".join(str(each) for each in errors))
        self.errors = tuple(errors)

    def by_field(self) -> dict[str, str]:
        """Return the first sentence for each field."""
        found: dict[str, str] = {}
        for each in self.errors:
            found.setdefault(each.field, str(each))
        return found


class BadMessage(DeployError):
    """A machine sent something that makes no sense."""

    status = 400


class Forbidden(DeployError):
    """This person or machine may not do that."""

    status = 403


class NotFound(DeployError):
    """There is no such thing, or not within this person's perimeter."""

    status = 404


class Conflict(DeployError):
    """The state of things does not allow it."""

    status = 409


class TooLarge(DeployError):
    """More bytes than the limit."""

    status = 413


class StorageError(DeployError):
    """Disk or database cannot take it now."""

    status = 503


class InternalError(DeployError):
    """The program made a mistake; its log says which."""
