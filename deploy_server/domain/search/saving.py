"""What a saved search is: a name, an expression that can be read, and who sees it. Pure."""

from deploy_server.domain.errors import SpecError
from deploy_server.domain.search.parser import parse

NAME_MAX = 80  # characters; it stands on a small button
EXPRESSION_MAX = 4000  # it stands in an address

#: Who sees a search besides its owner.
AUDIENCES = ("mine", "role", "tag", "all")


def check_search(name: str, expression: str) -> tuple[str, str]:
    """Return name and expression without the spaces around them.

    Raises:
        SpecError: field `name`; or `expression`, a SearchError that names the character.
    """
    name, expression = " ".join(name.split()), expression.strip()
    if not name:
        raise SpecError("name", "the search has no name", "Give it one")
    if len(name) > NAME_MAX:
        raise SpecError("name", f"the name is longer than {NAME_MAX} characters", "Shorten it")
    if not name.isprintable():
        raise SpecError("name", "the name holds unseen characters", "Type it again")
    if not expression:
        raise SpecError("expression", "there is nothing to save", "Search for something first")
    if len(expression) > EXPRESSION_MAX:
        raise SpecError(
            "expression",
            f"the search is longer than {EXPRESSION_MAX} characters",
            "Make a dynamic group of it, and search for that group",
        )
    parse(expression)
    return name, expression


def check_audience(text: str, tags: frozenset[str]) -> tuple[str, str]:
    """Return audience and tag of `mine`, `role`, `all` or `tag:LYON`; '' where there is no tag.

    Raises:
        SpecError: field `audience`; it is another, or a tag that the person does not have.
    """
    audience, _, tag = text.partition(":")
    if audience not in AUDIENCES or bool(tag) != (audience == "tag"):
        raise SpecError(
            "audience", f"nobody is meant by {text[:40]!r}", "Choose who sees the search"
        )
    if tag and tag not in tags:
        raise SpecError(
            "audience", f"{tag[:40]!r} is not one of your tags", "Share it with one of yours"
        )
    return audience, tag
