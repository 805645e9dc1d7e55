"""The groups that a computer is in, or is kept out of, each with the reason."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from deploy_server.storage.hidden import names_unseen
from deploy_server.storage.membership import groups_of
from deploy_server.storage.models import Group, GroupMember


@dataclass(frozen=True, slots=True)
class Membership:
    """A group that a computer is in, or is kept out of.

    Attributes:
        group_id: its row.
        name: of the group.
        kind: of the group, `static` or `dynamic`.
        member: False where it was excluded by hand.
        reason: a sentence: put in by whom, or the expression that it matches.
    """

    group_id: int
    name: str
    kind: str
    member: bool
    reason: str


def memberships_of(session: Session, computer_id: int, *, now: datetime) -> list[Membership]:
    """Return the groups that the computer is in or is kept out of, each with the reason."""
    member_of = groups_of(session, computer_id, now)
    rows = session.execute(
        select(Group, GroupMember)
        .outerjoin(
            GroupMember,
            (GroupMember.group_id == Group.id) & (GroupMember.computer_id == computer_id),
        )
        .where(Group.id.in_(member_of) | GroupMember.group_id.is_not(None))
        .order_by(Group.name_key)
    )
    return [
        Membership(
            group_id=group.id,
            name=group.name,
            kind=group.kind,
            member=group.id in member_of,
            reason=_why_member(session, group, by_hand),
        )
        for group, by_hand in rows
    ]


def _why_member(session: Session, group: Group, by_hand: GroupMember | None) -> str:
    if by_hand is None:
        unseen = names_unseen(session, group.expression)
        return "it matches" if unseen else f"it matches {group.expression}"
    verb = "put in" if by_hand.kind == "include" else "kept out"
    return f"{verb} by {by_hand.added_by or 'somebody'}"
