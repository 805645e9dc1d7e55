"""What the database knows of its own tables, so that it finds the short way through large ones."""

from sqlalchemy import text
from sqlalchemy.orm import Session

#: Rows that SQLite looks at for each index: all of a million would hold up whoever writes.
_SQLITE_ROWS = 1000


def refresh_statistics(session: Session) -> None:
    """Let the database look at its tables anew; commits.

    PostgreSQL does so by itself while it works, but not where that was switched off. SQLite never
    does, and without it takes a group of three computers for one of a third of all.
    """
    if session.get_bind().dialect.name == "sqlite":
        session.execute(text(f"PRAGMA analysis_limit = {_SQLITE_ROWS}"))
    session.execute(text("ANALYZE"))
    session.commit()
