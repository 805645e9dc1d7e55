"""What a valid group is: its name, description, expression and visibility. Pure checks."""

from deploy_server.domain.errors import SpecError
from deploy_server.domain.search import parse

NAME_MAX = 100  # characters
DESCRIPTION_MAX = 1000


def check_name(text: str) -> str:
    """Return a name without the spaces around it.

    Raises:
        SpecError: field `name`.
    """
    text = text.strip()
    if not text:
        raise SpecError("name", "the group has no name", "Give it one")
    if len(text) > NAME_MAX:
        raise SpecError("name", f"the name is longer than {NAME_MAX} characters", "Shorten it")
    if not text.isprintable():
        raise SpecError("name", "the name holds line ends or unseen characters", "Remove them")
    return text


def check_description(text: str) -> str:
    """Return a description without the spaces around it.

    Raises:
        SpecError: field `description`.
    """
    text = text.strip()
    if len(text) > DESCRIPTION_MAX:
        raise SpecError(
            "description",
            f"the description is longer than {DESCRIPTION_MAX} characters",
            "Shorten it",
        )
    if "\0" in text:
        raise SpecError("description", "the description holds a NUL character", "Remove it")
    return text


def check_expression(text: str | None) -> str:
    """Return the expression of a dynamic group; a static one (None) has ''.

    Raises:
        SpecError: field `expression`; a SearchError names the character.
    """
    if text is None:
        return ""
    if not text.strip():
        raise SpecError(
            "expression", "a dynamic group needs an expression", "Write one, such as os ~ debian"
        )
    parse(text)
    return text.strip()


def check_visible(visible: bool, dynamic: bool) -> bool:
    """Return whether operators may put computers into the group.

    Raises:
        SpecError: field `visible`; into a dynamic one nobody does.
    """
    if visible and dynamic:
        raise SpecError(
            "visible",
            "a dynamic group takes its members from its expression, so nobody puts computers in",
            "Leave it invisible, or make a static group",
        )
    return visible
