"""DOWNLOAD: a result arrives. It is history always, and the status where it is about this attempt.

Safe to repeat: agents send a result until they have an answer.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session

from deploy_agent.wire.messages import DownloadReport
from deploy_agent.wire.result import ResultCode
from deploy_agent.wire.terms import PACKAGE_ID_MAX
from deploy_server.domain.assigning import Verdict, judge_report, reported_class
from deploy_server.services import withdrawing
from deploy_server.services.activity import Activity, Caller
from deploy_server.services.contact.seen import mark_seen
from deploy_server.storage.models import Assignment, Computer, Package, Report
from deploy_server.storage.quick import Prepared

_BY_DEVICE = (
    select(Computer.id, Computer.name)
    .where(Computer.device_id == bindparam("device_id"))
    .with_for_update(of=Computer, key_share=True)
)
_COMPUTER = Prepared(_BY_DEVICE)
# Our agents' reports may be about what was taken back.
_OURS = Prepared(_BY_DEVICE.add_columns(withdrawing.has_cancels().label("has_cancels")))
_ASSIGNMENT = Prepared(
    select(
        Assignment.id,
        Assignment.attempt,
        Assignment.status,
        Assignment.cleared_at,
        Assignment.assigned_by,
        Assignment.assigned_at,
        Assignment.offered_revision,
        Package.name.label("package_name"),
    )
    .join(Package, Package.id == Assignment.package_id)
    .where(
        Assignment.computer_id == bindparam("computer"),
        Assignment.package_id == bindparam("package"),
    )
    .with_for_update(of=Assignment, key_share=True)
)
_LAST_REPORT = Prepared(
    select(Report.code, Report.attempt)
    .where(Report.device_id == bindparam("device_id"), Report.package_id == bindparam("package"))
    .order_by(Report.id.desc())
    .limit(1)
)
_TAKE = Prepared(
    update(Assignment)
    .where(Assignment.id == bindparam("row"))
    .values(status=bindparam("code"), status_class=bindparam("class"), since=bindparam("at"))
)
_NAME = Prepared(select(Package.name).where(Package.id == bindparam("package")))
_FIELDS = (
    "at",
    "device_id",
    "computer_name",
    "package_id",
    "package_name",
    "revision",
    "attempt",
    "code",
    "result_class",
    "assigned_by",
    "assigned_at",
    "counted",
    "note",
)
_APPEND = Prepared(insert(Report).values({name: bindparam(name) for name in _FIELDS}).inline())


def take_report(session: Session, report: DownloadReport, *, now: datetime, caller: Caller) -> None:
    """Store a result.

    What nobody knows is written to the activity log only: an unknown computer, an id that no
    package can have.
    """
    ours = report.attempt is not None
    place = {"device_id": report.device_id}
    computer = (_OURS if ours else _COMPUTER).first(session, place)
    what = f"{report.package_id} {report.code}"
    if computer is None:
        caller.note(Activity.UNKNOWN_COMPUTER, what)
        return
    mark_seen(session, computer.id, now, caller.user_agent)
    if int(report.package_id) > PACKAGE_ID_MAX:
        caller.note(Activity.UNKNOWN_PACKAGE, what)
        return
    package_id = int(report.package_id)
    about = {"computer": computer.id, "package": package_id}
    row = _ASSIGNMENT.first(session, about)
    outcome = _assigned(session, report, row, now) if row else _unassigned(session, report)
    caller.note(outcome.activity, what)
    if report.attempt is not None and computer.has_cancels:
        finished = (package_id, report.attempt, withdrawing.FINISHED)
        withdrawing.say(session, computer.id, *finished, now)
    if outcome.activity is not Activity.RESULT_REPEATED:
        _append(session, report, computer.name, outcome, now)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a report led to.

    Attributes:
        activity: for the activity log.
        note: why it did not become the status, '' when it did.
        package_name: '' when the package is not known here.
        assignment: the row it is about.
    """

    activity: Activity
    note: str
    package_name: str
    assignment: Any = None


_REPEATED = _Outcome(Activity.RESULT_REPEATED, "", "")


def _assigned(session: Session, report: DownloadReport, row: Any, now: datetime) -> _Outcome:
    code = ResultCode.parse(report.code)
    verdict = judge_report(code, report.attempt, row.attempt, row.status)
    if verdict is Verdict.REPEAT:
        return _REPEATED
    if row.cleared_at is not None or verdict is Verdict.HISTORY:
        if _is_known(session, report):
            return _REPEATED
        note = _why_history(report, row) if verdict is Verdict.HISTORY else "validated before"
        return _Outcome(Activity.OLDER_ATTEMPT, note, row.package_name, row)
    change = {"row": row.id, "code": code.text, "class": reported_class(code), "at": now}
    _TAKE.run(session, change)
    return _Outcome(Activity.RESULT, "", row.package_name, row)


def _why_history(report: DownloadReport, row: Any) -> str:
    same = report.attempt == row.attempt
    return f"the attempt had ended with {row.status}" if same else "of an older attempt"


def _unassigned(session: Session, report: DownloadReport) -> _Outcome:
    if _is_known(session, report):
        return _REPEATED
    package = _NAME.first(session, {"package": int(report.package_id)})
    if package is None:
        return _Outcome(Activity.UNKNOWN_PACKAGE, "the package is not known here", "")
    return _Outcome(Activity.NOT_ASSIGNED, "not assigned to the computer", package.name)


def _is_known(session: Session, report: DownloadReport) -> bool:
    """Return whether the last report of this package on this computer said the same."""
    place = {"device_id": report.device_id, "package": int(report.package_id)}
    last = _LAST_REPORT.first(session, place)
    code = ResultCode.parse(report.code).text
    return last is not None and (last.code, last.attempt) == (code, report.attempt)


def _append(
    session: Session, report: DownloadReport, name: str, outcome: _Outcome, now: datetime
) -> None:
    code = ResultCode.parse(report.code)
    row = outcome.assignment
    values = {
        "at": now,
        "device_id": report.device_id,
        "computer_name": name,
        "package_id": int(report.package_id),
        "package_name": outcome.package_name,
        "revision": None if row is None else row.offered_revision,
        "attempt": report.attempt,
        "code": code.text,
        "result_class": reported_class(code),
        "assigned_by": "" if row is None else row.assigned_by,
        "assigned_at": None if row is None else row.assigned_at,
        "counted": outcome.activity is Activity.RESULT,
        "note": outcome.note,
    }
    _APPEND.run(session, values)
