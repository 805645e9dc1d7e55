"""What every page of the console shares: the menu, its own address, the arguments of lists."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from flask import Flask, g, request, url_for
from werkzeug.exceptions import NotFound
from werkzeug.routing import IntegerConverter, Map

from deploy_server.domain.errors import BadMessage
from deploy_server.web.rights import Right

_STATIC = Path(__file__).parent / "static"

#: In the order in which the browser reads them.
SHEETS = ("tokens", "base", "layout", "components", "forms", "tables", "charts", "search")

THEMES = ("light", "dark")
THEME_COOKIE = "__Host-theme"

PAGE_SIZE = 50
PAGE_MAX = 1_000_000  # no list is longer, and databases have a largest number
ID_MAX = 2_147_483_647  # of every row that an address may name


@dataclass(frozen=True)
class MenuItem:
    """An entry of the menu; shown to whoever has the right."""

    label: str
    section: str
    endpoint: str
    icon: str
    right: Right = Right.READ


MENU = (
    MenuItem("Overview", "overview", "console.overview.index", "overview"),
    MenuItem("Packages", "packages", "console.packages.index", "package"),
    MenuItem("Computers", "computers", "console.computers.index", "computer"),
    MenuItem("Groups", "groups", "console.groups.index", "group"),
    MenuItem("Settings", "settings", "console.settings.index", "settings"),
    MenuItem("People", "users", "console.users.index", "people", Right.EDIT_USERS),
    MenuItem("Audit log", "audit", "console.audit.index", "eye", Right.READ_AUDIT),
)


@dataclass(frozen=True)
class Listing:
    """What the address says about a list.

    Attributes:
        query: the text of its filter.
        sort: the column.
        descending: the direction.
        page: from 1.
    """

    query: str
    sort: str
    descending: bool
    page: int


class RowId(IntegerConverter):
    """`<int:...>` in an address: a number beyond every row's is no such page."""

    def __init__(self, map: Map, **options: Any) -> None:
        super().__init__(map, **{"max": ID_MAX, **options})


def row_id(text: str) -> int:
    """The id that a form or a question in an address names: `args.get("group", type=row_id)`.

    A number beyond every row's is 0, which is nobody's.

    Raises:
        ValueError: it is no number; Flask leaves such a value out.
    """
    number = int(text)
    return number if 0 < number <= ID_MAX else 0


def check_arguments() -> None:
    """Refuse an address that asks with what no database can look for.

    Raises:
        BadMessage: a NUL is in it.
    """
    if any("\0" in value for _, value in request.args.items(multi=True)):
        raise BadMessage("the address contains a NUL character", "Go back and follow a link")


def init_pages(app: Flask) -> None:
    """Give templates what is on every page, and addresses their bounds."""
    app.url_map.converters["int"] = RowId
    app.jinja_env.globals.update(asset=asset, here_with=here_with)
    app.context_processor(_context)


def listing(sort: str, *, descending: bool = False) -> Listing:
    """The arguments of a list page; `sort` and `descending` where the address has none."""
    chosen = request.args.get("sort", "")
    return Listing(
        query=request.args.get("q", "").strip(),
        sort=chosen or sort,
        descending=request.args.get("desc") == "1" if chosen else descending,
        page=min(max(1, request.args.get("page", 1, type=int)), PAGE_MAX),
    )


def whole_number(text: str) -> int:
    """The row id that `text` is.

    Raises:
        werkzeug's NotFound: it is none, so there is no such row.
    """
    if not text.isascii() or not text.isdigit() or len(text) > 18 or int(text) > ID_MAX:
        raise NotFound
    return int(text)


def here_with(**changes: Any) -> str:
    """This page's address with other arguments; None takes one away."""
    # Names that url_for takes for its own are nobody's arguments here.
    typed = {
        name: values
        for name, values in request.args.to_dict(flat=False).items()
        if name != "endpoint" and not name.startswith("_")
    }
    arguments = {**typed, **(request.view_args or {})}
    arguments |= changes
    kept = {name: value for name, value in arguments.items() if value is not None}
    return url_for(request.endpoint or "", **kept)


def here() -> str:
    """This page's address as a path, for coming back to it."""
    return request.full_path.rstrip("?") if request.method == "GET" else "/"


def theme() -> str:
    """`light`, `dark`, or '' where the system decides."""
    chosen = request.cookies.get(THEME_COOKIE, "")
    return chosen if chosen in THEMES else ""


@cache
def _version(name: str) -> str:
    return hashlib.sha256((_STATIC / name).read_bytes()).hexdigest()[:12]


def asset(name: str) -> str:
    """The address of a static file; it changes with the file, so browsers may keep it."""
    return url_for("console.static", filename=name, v=_version(name))


def _context() -> dict[str, Any]:
    who = g.get("person")
    return {
        "sheets": [f"css/{name}.css" for name in SHEETS],
        "menu": MENU,
        "person": who,
        "may": who.may if who else lambda right: False,
        "Right": Right,
        "theme": theme(),
        "here": here(),
        "section": "",
    }
