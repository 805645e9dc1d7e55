"""Computers that were picked in a list: ticked rows, or the whole result of a search."""

from dataclasses import dataclass

from werkzeug.datastructures import MultiDict

from deploy_server.domain.search.writing import quoted
from deploy_server.services import fleet
from deploy_server.services.assigning import Selection
from deploy_server.services.fleet import Radius
from deploy_server.web.database import db
from deploy_server.web.formats import plural
from deploy_server.web.pages import row_id
from deploy_server.web.security import person
from deploy_server.web.services import services

_TAG_MAX, _QUERY_MAX = 200, 2000  # characters, of what is made a longer search of


@dataclass(frozen=True)
class Picked:
    """What a list's form or a page about it says.

    Attributes:
        whole: everything that the search finds, not the ticked rows.
        query: the search.
        ids: of the ticked rows.
        expected: the seal of the computers that the person was shown; '' before that.
    """

    whole: bool
    query: str
    ids: tuple[int, ...]
    expected: str

    @classmethod
    def sent(cls, values: MultiDict[str, str]) -> "Picked":
        """What an address or a form says."""
        return cls(
            whole=bool(values.get("whole")),
            query=values.get("q", "").strip(),
            ids=tuple(values.getlist("computer", type=row_id)),
            expected=values.get("expected", ""),
        )

    @property
    def nothing(self) -> bool:
        """Whether nothing was picked at all."""
        return not self.whole and not self.ids

    def selection(self) -> Selection:
        """The computers, as services take them."""
        if self.whole:
            return Selection(expression=self.query)
        return Selection(computer_ids=self.ids)

    def radius(self) -> Radius:
        """Whom an action would reach, inside the person's tags."""
        return fleet.radius(
            db.session(), self.selection(), now=services().now(), perimeter=person().perimeter
        )

    def tagged(self, tag: str) -> str:
        """The search for those of them with a tag ('' is none); '' where no search finds them."""
        # A star stands for any text there; the language takes texts and expressions so long only.
        if not self.whole or "*" in tag or len(tag) > _TAG_MAX or len(self.query) > _QUERY_MAX:
            return ""
        has = f"tag = {quoted(tag)}" if tag else "tag is empty"
        return f"({self.query}) and {has}" if self.query else has

    def moved(self, now: Radius) -> str:
        """What to say where others match than the person was shown; '' where all is as it was."""
        if not self.whole or self.expected == now.seal:
            return ""
        return moved_sentence(self.expected, now.seal)


def moved_sentence(shown: str, found: str) -> str:
    """What to say where a search finds others than were shown; both as `fleet.seal` has them."""
    before, after = _number(shown), _number(found)
    if before == after:
        return f"The search found {plural(before, 'computer')} when you looked, and others now."
    return f"The search found {plural(before, 'computer')} when you looked, and {after:,} now."


def _number(seal: str) -> int:
    text = seal.partition("-")[0]
    return int(text) if text.isdecimal() and len(text) < 10 else 0
