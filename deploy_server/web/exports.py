"""Lists as CSV: sent while they are read, with cells that no spreadsheet takes for formulas."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from flask import Response
from sqlalchemy.orm import Session

from deploy_server.storage.types import utc_text
from deploy_server.web.database import list_session
from deploy_server.web.formats import csv_line, defused


def csv_response(
    name: str,
    columns: Sequence[str],
    find: Callable[[Session], Iterable[Iterable[object]]],
) -> Response:
    """Return a file for download.

    Args:
        name: of the file.
        columns: its first line.
        find: gives the rows, read from a session of their own: a cell for each column; times are
            written in UTC, None as nothing. It refuses before the first row.
    """
    session = list_session()
    try:
        rows = find(session)
    except BaseException:
        session.close()  # nobody will read from it
        raise
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(_lines(session, columns, rows), headers=headers, mimetype="text/csv")


def _lines(
    session: Session, columns: Sequence[str], rows: Iterable[Iterable[object]]
) -> Iterator[str]:
    with session:
        yield csv_line(columns)
        for row in rows:
            yield csv_line([defused(_text(each)) for each in row])


def _text(value: object) -> str:
    if value is None:
        return ""
    return utc_text(value) if isinstance(value, datetime) else str(value)
