"""Packages taken back from the picked computers: which ones they have, and what became of it."""

from collections.abc import Sequence

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from deploy_agent.wire import terms
from deploy_server.domain.errors import SpecError
from deploy_server.services import fleet
from deploy_server.services.fleet import Held
from deploy_server.web.database import db
from deploy_server.web.formats import plural
from deploy_server.web.pages import row_id
from deploy_server.web.picking import Picked
from deploy_server.web.rights import Right, needs
from deploy_server.web.security import person
from deploy_server.web.services import services
from deploy_server.web.undo import flash_cleared

blueprint = Blueprint("taking", __name__, url_prefix="/computers/unassign")

#: Packages that are reported one by one; of more, the sums.
_NAMED = 4


@blueprint.get("")
@needs(Right.ASSIGN)
def ask() -> ResponseReturnValue:
    """Show which packages the picked computers have, and how far they are."""
    picked = Picked.sent(request.args)
    if picked.nothing:
        flash("Tick at least one computer, or the whole result.", "warning")
        return redirect(_back(picked))
    return _page(picked, request.args.getlist("package", type=row_id))


@blueprint.post("")
@needs(Right.ASSIGN)
def take() -> ResponseReturnValue:
    """Take the ticked packages back from the picked computers."""
    picked = Picked.sent(request.form)
    packages = request.form.getlist("package", type=row_id)
    if picked.nothing:
        raise SpecError("selection", "no computer was picked", "Tick some in the list first")
    moved = picked.moved(picked.radius()) if picked.whole else ""
    if moved:
        return _page(picked, packages, moved), 409
    if not packages:
        return _page(picked, packages, problem="No package was ticked; nothing was changed."), 422
    results_too, now = request.form.get("results") == "too", services().now()
    taken = fleet.take_back(
        db.session(),
        picked.selection(),
        packages,
        results_too=results_too,
        actor=person().name,
        now=now,
        perimeter=person().perimeter,
    )
    said = _report(taken, results_too=results_too)
    if len(taken) == 1 and taken[0].waiting and not _reached(taken[0], results_too=results_too):
        waited = taken[0].waiting
        flash_cleared(said[0], "Let it wait again", taken[0].package, "waiting", waited, now)
    else:
        for each in said:
            flash(each, "success" if taken else "warning")
    if len(taken) == 1 and taken[0].told and len(picked.ids) != 1:
        return redirect(url_for("console.recall.taken_back", package_id=taken[0].package))
    return redirect(_back(picked))


def _reached(held: Held, *, results_too: bool) -> bool:
    """Whether more was taken back than from those who waited, which nothing brings back."""
    return bool(held.told or held.beyond or (results_too and held.ended))


def _report(taken: Sequence[Held], *, results_too: bool) -> list[str]:
    if not taken:
        return ["Nothing was taken back: none of these packages was still open there."]
    if len(taken) <= _NAMED:
        return [f"{each.name[:80]}: {_told(each, results_too=results_too)}" for each in taken]
    numbers = ("waiting", "told", "beyond", "succeeded", "failed")
    sums = {name: sum(getattr(each, name) for each in taken) for name in numbers}
    said = _told(Held(0, "", **sums), results_too=results_too)
    return [f"{plural(len(taken), 'package')}, counted together: {said}"]


def _told(held: Held, *, results_too: bool) -> str:
    """What became of it, as the page of a stopped package says it."""
    said = []
    if held.waiting:
        said.append(f"{plural(held.waiting, 'computer')} that waited will not be told")
    if held.told:
        said.append(
            f"{plural(held.told, 'agent')} will be told to drop it and say whether it had begun"
        )
    if held.beyond:
        said.append(f"{plural(held.beyond, 'agent')} of OCS cannot be told and may go on")
    if results_too and held.ended:
        said.append(f"{plural(held.ended, 'result')} left the counts and stay in the history")
    return "; ".join(said) + "."


def _back(picked: Picked) -> str:
    if len(picked.ids) == 1 and not picked.whole:
        return url_for("console.computers.show", computer_id=picked.ids[0])
    return url_for("console.computers.index", q=picked.query or None)


def _lists(picked: Picked, held: Sequence[Held]) -> dict[int, dict[str, str]]:
    """The expression behind each number; of ticked rows there is none."""
    if not picked.whole:
        return {}
    base = f"({picked.query}) and " if picked.query else ""
    return {each.package: lists_of(each.package, base) for each in held}


def lists_of(package_id: int, base: str = "") -> dict[str, str]:
    """The expressions of who has a package, by how far they are; `base` goes before each."""
    on, ours = f"{base}package:{package_id:010d} = ", f'agent ~ "{terms.OUR_AGENT_MARK}"'
    return {
        "waiting": f"{on}waiting",
        "told": f"{on}notified and {ours}",
        "beyond": f"{on}notified and not {ours}",
        "succeeded": f"{on}success",
        "failed": f"{on}error",
    }


def _page(picked: Picked, packages: Sequence[int], moved: str = "", problem: str = "") -> str:
    held = fleet.packages_held(
        db.session(), picked.selection(), now=services().now(), perimeter=person().perimeter
    )
    ticked = [each for each in held if each.package in packages]
    only_ended = bool(ticked) and not any(each.open for each in ticked)
    return render_template(
        "bulk/unassign.html",
        section="computers",
        picked=picked,
        radius=picked.radius(),
        moved=moved,
        problem=problem,
        held=held,
        ticked={each.package for each in ticked},
        lists=_lists(picked, held),
        results_too=request.values.get("results") == "too" or only_ended,
        back=_back(picked),
    )
