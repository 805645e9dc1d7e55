"""Who may do what: one table, and the mark that every view of the console carries.

The roles are contract.md 5's. A view without a mark does not start the server (`check_views`), and
the mark is checked before the view runs, before the body of the request is read.
"""

from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

from flask import Flask

View = TypeVar("View", bound=Callable[..., Any])


class Right(Enum):
    """Something a person may do in the console."""

    PUBLIC = "without logging in"
    READ = "read everything inside your tags"
    ACCOUNT = "change your own password"
    JOIN_GROUPS = "put computers into visible groups"
    RUN_AGAIN = "run failed packages again"
    SEE_HIDDEN = "see hidden packages"
    BUILD = "build packages"
    EDIT_PACKAGES = "change packages"
    ACTIVATE = "activate packages"
    DEACTIVATE = "deactivate packages"
    DELETE_PACKAGES = "delete packages"
    ASSIGN = "assign packages, withdraw and validate them"
    EDIT_GROUPS = "make, change and delete groups"
    EDIT_SETTINGS = "change settings of groups and computers"
    EDIT_TAGS = "change the tags of computers"
    DELETE_COMPUTERS = "delete computers"
    EDIT_GLOBAL_SETTINGS = "change settings of everybody"
    EDIT_USERS = "manage the people who may log in"
    READ_AUDIT = "read who changed what"


_VIEWER = frozenset({Right.PUBLIC, Right.READ, Right.ACCOUNT})
_OPERATOR = _VIEWER | {Right.JOIN_GROUPS, Right.RUN_AGAIN}
_ADMIN = _OPERATOR | {
    Right.SEE_HIDDEN,
    Right.BUILD,
    Right.EDIT_PACKAGES,
    Right.ACTIVATE,
    Right.DEACTIVATE,
    Right.DELETE_PACKAGES,
    Right.ASSIGN,
    Right.EDIT_GROUPS,
    Right.EDIT_SETTINGS,
    Right.EDIT_TAGS,
    Right.DELETE_COMPUTERS,
    Right.READ_AUDIT,
}

#: The rights of each role, by the role's name in the database.
RIGHTS: dict[str, frozenset[Right]] = {
    "viewer": _VIEWER,
    "operator": _OPERATOR,
    "admin": _ADMIN,
    "superadmin": _ADMIN | {Right.EDIT_GLOBAL_SETTINGS, Right.EDIT_USERS},
}

#: What a person whose tags limit them may not do although their role has it: it would reach
#: computers outside their tags (contract.md 5, Roles).
NOT_WITH_TAGS = frozenset(
    {
        Right.EDIT_GROUPS,
        Right.EDIT_GLOBAL_SETTINGS,
        Right.EDIT_USERS,
        Right.EDIT_PACKAGES,
        Right.DELETE_PACKAGES,
        Right.DEACTIVATE,
        Right.READ_AUDIT,
    }
)


def needs(right: Right) -> Callable[[View], View]:
    """Mark a view with the right that it takes."""

    def mark(view: View) -> View:
        view.__dict__["right"] = right
        return view

    return mark


def right_of(view: Callable[..., Any]) -> Right | None:
    """The right that `view` is marked with; None is a mistake in the program."""
    found: Right | None = getattr(view, "right", None)
    return found


def check_views(app: Flask, blueprint: str) -> None:
    """Refuse to start when a view of the console says nothing about rights.

    Raises:
        RuntimeError: names the views; the program's fault.
    """
    forgotten = [
        endpoint
        for endpoint, view in app.view_functions.items()
        if endpoint.startswith(f"{blueprint}.")
        and endpoint != f"{blueprint}.static"
        and right_of(view) is None
    ]
    if forgotten:
        raise RuntimeError(f"views without a right: {', '.join(forgotten)}")
