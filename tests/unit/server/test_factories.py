"""The factories make rows that both databases accept."""

from sqlalchemy.orm import Session

from tests.support import factories as make


def test_rows_of_every_kind(session: Session) -> None:
    computer = make.make_computer(session, name="Zoë's PC", tag="Lyon")
    assignment = make.make_assignment(session, computer, status="SUCCESS_3")
    group = make.make_group(session, computer, excluded=(make.make_computer(session),))
    make.make_group_assignment(session, group)
    make.make_user(session)
    session.commit()
    assert computer.tag_key == "lyon"
    assert assignment.status_class == 3
