"""Deploying: packages x computers, previewed before anything is assigned."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from werkzeug.datastructures import MultiDict

from deploy_server.domain.errors import DeployError, SpecError
from deploy_server.services import activation, assigning, fleet, groups
from deploy_server.services.assigning import AssignResult, Selection, Standing
from deploy_server.services.computers import get_computer_by_id
from deploy_server.services.group_counts import count_static
from deploy_server.storage.models import Activation, Group, Package
from deploy_server.web.admin.computers import COMMON
from deploy_server.web.database import db
from deploy_server.web.formats import plural
from deploy_server.web.pages import row_id
from deploy_server.web.picking import moved_sentence
from deploy_server.web.rights import Right, needs
from deploy_server.web.security import person
from deploy_server.web.services import services

blueprint = Blueprint("deploy", __name__, url_prefix="/deploy")

#: Names of computers that are shown for each reason to skip.
_EXAMPLES = 5


@dataclass(frozen=True)
class Order:
    """What the page asks for.

    Attributes:
        activations: row ids.
        target: `search`, `ticked`, `group` or `all`.
        query: the expression of a search.
        computers: row ids that were ticked.
        group: row id of a group, 0 for none.
        force: also where history has it.
        schedule: as the browser's field has it, 2026-11-21T10:15.
        postcmd: what to do afterwards.
        only_new: not where it ever succeeded.
    """

    activations: tuple[int, ...]
    target: str
    query: str
    computers: tuple[int, ...]
    group: int
    force: bool
    schedule: str
    postcmd: str
    only_new: bool = False

    @classmethod
    def sent(cls, values: MultiDict[str, str]) -> "Order":
        """The order that an address or a form has."""
        ticked = tuple(values.getlist("computer", type=row_id))
        group = values.get("group", 0, type=row_id)
        default = "ticked" if ticked else "group" if group else "search"
        if values.get("whole"):  # the whole result of a list
            default, ticked = "search" if values.get("q", "").strip() else "all", ()
        postcmd = values.get("postcmd", "")
        return cls(
            activations=tuple(values.getlist("activation", type=row_id)),
            target=values.get("target", default),
            query=values.get("q", "").strip(),
            computers=ticked,
            group=group,
            force=bool(values.get("force")),
            schedule=values.get("schedule", "").strip(),
            postcmd=values.get("command", "").strip() if postcmd == "COMMAND" else postcmd,
            only_new=bool(values.get("only_new")),
        )

    @property
    def seal(self) -> str:
        """What a preview was made for, so that nothing else is assigned under its name."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:32]

    @property
    def finds(self) -> bool:
        """Whether a search decides which computers, so that they may be others later."""
        return self.target in ("search", "all")

    @property
    def complete(self) -> bool:
        """Whether it says which computers; an empty search does not mean all of them."""
        return self.target != "search" or bool(self.query)

    def selection(self) -> Selection:
        """The computers."""
        if self.target == "all":
            return Selection(expression="")
        if self.target == "ticked":
            return Selection(computer_ids=self.computers)
        if self.target == "group":
            return Selection(group=_group_name(self.group))
        return Selection(expression=self.query)

    def schedule_text(self) -> str:
        """The schedule as agents read it.

        Raises:
            SpecError: it is no time.
        """
        if not self.schedule:
            return ""
        try:
            moment = datetime.strptime(self.schedule[:16], "%Y-%m-%dT%H:%M")  # noqa: DTZ007 - local
        except ValueError:
            raise SpecError(
                "schedule", f"{self.schedule[:40]!r} is no time", "Choose a day and a time"
            ) from None
        return f"{moment:%Y/%m/%d %H:%M}"


@dataclass(frozen=True)
class Preview:
    """What an order would do with one package.

    Attributes:
        activation: of the package.
        assigned: computers that get it.
        skipped: reasons, each with how many and the first of them.
        standing: how many of those whom it suits have it already.
        error: why it cannot be done at all.
    """

    activation: Activation
    assigned: int
    skipped: tuple[tuple[str, int, tuple[str, ...]], ...]
    standing: Standing | None = None
    error: DeployError | None = None


@blueprint.get("")
@needs(Right.ASSIGN)
def index() -> ResponseReturnValue:
    """Choose packages and computers."""
    order = Order.sent(request.args)
    packages = request.args.getlist("package", type=row_id)
    if packages and not order.activations:
        values = MultiDict(request.args)
        for each in packages:
            rows = activation.list_activations(db.session(), each)
            if len(rows) == 1:  # of several sites somebody chooses
                values.add("activation", str(rows[0].id))
        order = Order.sent(values)
    return _page(order, packages)


@blueprint.post("/preview")
@needs(Right.ASSIGN)
def preview() -> ResponseReturnValue:
    """Show what an order would do; a part of the page."""
    order = Order.sent(request.form)
    return render_template("deploy/preview.html", order=order, **_outlook(order))


@blueprint.post("")
@needs(Right.ASSIGN)
def assign() -> ResponseReturnValue:
    """Assign what was previewed; anything else is previewed first."""
    order = Order.sent(request.form)
    previewed = request.form.get("seal") == order.seal and order.complete
    if request.form.get("do") != "assign" or not previewed:
        return _page(order)
    shown, found = request.form.get("found", ""), _found(order)
    if shown != found:
        return _page(order, moved=moved_sentence(shown, found)), 409
    session = db.session()
    done: list[tuple[Activation, AssignResult]] = []
    for each in _activations(order):
        result = assigning.assign(
            session,
            f"A{each.id}",
            order.selection(),
            force=order.force,
            schedule=order.schedule_text(),
            postcmd=order.postcmd,
            only_new=order.only_new,
            actor=person().name,
            now=services().now(),
            perimeter=person().perimeter,
        )
        done.append((each, result))
    for each, result in done:
        flash(_report(each, result), "success" if result.assigned else "warning")
    return redirect(_afterwards(order, [each for each, _ in done]))


def _found(order: Order) -> str:
    """The seal of the computers that a search finds; '' where none decides, or it is wrong."""
    if not (order.finds and order.complete):
        return ""
    now, perimeter = services().now(), person().perimeter
    try:
        return fleet.seal(db.session(), order.selection(), now=now, perimeter=perimeter)
    except DeployError:
        return ""  # the preview says what is wrong


def _outlook(order: Order, moved: str = "") -> dict[str, Any]:
    return {"previews": _previews(order), "found": _found(order), "moved": moved}


def _previews(order: Order) -> list[Preview]:
    activations = _activations(order) if order.complete else []
    return [_preview(order, each) for each in activations]


def _preview(order: Order, target: Activation) -> Preview:
    session = db.session()
    who: dict[str, Any] = {"now": services().now(), "perimeter": person().perimeter}
    name = f"A{target.id}"
    try:
        order.schedule_text()
        selection = order.selection()
        result = assigning.outlook(
            session, name, selection, force=order.force, only_new=order.only_new, **who
        )
        standing = assigning.standing(session, name, selection, **who)
    except DeployError as error:
        return Preview(target, 0, (), error=error)
    return Preview(target, result.assigned, result.skipped, standing)


def _by_reason(result: AssignResult) -> list[tuple[str, int, list[str]]]:
    counts = Counter(each.reason for each in result.skipped)
    examples: dict[str, list[str]] = {reason: [] for reason in counts}
    for each in result.skipped:
        if len(examples[each.reason]) < _EXAMPLES:
            examples[each.reason].append(each.device_id)
    return [(reason, count, examples[reason]) for reason, count in counts.most_common()]


def _activations(order: Order) -> list[Activation]:
    found = [db.session().get(Activation, each) for each in order.activations]
    return [each for each in found if each is not None and each.ended_at is None]


def _group_name(group_id: int) -> str:
    group = db.session().get(Group, group_id)
    if group is None:
        raise SpecError("selection", "no group is chosen", "Choose one")
    return group.name


def _report(target: Activation, result: AssignResult) -> str:
    said = f"{target.package.name[:80]}: {plural(result.assigned, 'computer')} will be told at"
    said += " the next contact."
    if result.skipped:
        reasons = "; ".join(f"{count:,} {reason}" for reason, count, _ in _by_reason(result)[:3])
        said += f" Skipped {plural(len(result.skipped), 'computer')}: {reasons}."
    return said


def _afterwards(order: Order, done: list[Activation]) -> str:
    if len(order.computers) == 1 and order.target == "ticked":
        return url_for("console.computers.show", computer_id=order.computers[0])
    if len(done) == 1:
        return url_for("console.packages.show", package_id=done[0].package_id)
    return url_for("console.packages.index")


def _page(order: Order, packages: Sequence[int] = (), moved: str = "") -> str:
    session, perimeter = db.session(), person().perimeter
    rows = [row for each in packages for row in activation.list_activations(session, each)]
    rows = rows if packages else activation.list_activations(session)
    # Loaded at once; else each row of the page would ask for its own.
    ids = {each.package_id for each in rows}
    session.scalars(select(Package).where(Package.id.in_(ids))).all()
    ticked = [get_computer_by_id(session, each, perimeter=perimeter) for each in order.computers]
    context: dict[str, Any] = {
        "groups": [] if perimeter else groups.group_names(session),
        "in_group": {} if perimeter else count_static(session, None),
        "common": COMMON,
    }
    return render_template(
        "deploy/index.html",
        section="packages",
        order=order,
        activations=sorted(rows, key=lambda each: each.id not in order.activations),
        ticked=ticked,
        **_outlook(order, moved),
        **context,
    )
