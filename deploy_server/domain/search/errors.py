"""What is wrong with an expression, and where."""

from deploy_server.domain.errors import SpecError


class SearchError(SpecError):
    """An expression cannot be read.

    Attributes:
        position: the character that is wrong, from 0; the message counts from 1.
    """

    def __init__(self, position: int, message: str, hint: str = "") -> None:
        super().__init__("expression", f"character {position + 1}: {message}", hint)
        self.position = position

    @property
    def code(self) -> str:
        """A stable word for programs."""
        return "SearchError"
