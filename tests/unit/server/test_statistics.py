"""The database's knowledge of its tables."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from deploy_server.storage.statistics import refresh_statistics
from tests.support.factories import make_assignment

_KNOWN = {
    "sqlite": "SELECT count(*) FROM sqlite_stat1 WHERE tbl = 'assignment'",
    "postgresql": "SELECT count(*) FROM pg_stats WHERE tablename = 'assignment'",
}


def test_the_database_looks_at_its_tables(session: Session) -> None:
    for _ in range(3):
        make_assignment(session)
    session.commit()
    refresh_statistics(session)
    assert session.scalar(text(_KNOWN[session.get_bind().dialect.name])) > 0
