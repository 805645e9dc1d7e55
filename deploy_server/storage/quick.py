"""Statements on the way of every message: without what the ORM does around each of them.

`Prepared` is for what messages ask and change all day, `execute` for what has lists in it. Both run
in the session's own transaction; objects that the session holds are neither written before nor
changed after.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, CursorResult, Dialect, Select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.elements import ClauseElement

from deploy_server.storage.models import Base


def execute(session: Session, statement: Executable, parameters: Mapping[str, Any]) -> Any:
    """Run a statement in the session's transaction, at half the cost of `session.execute`.

    The statement should be made once, with `bindparam`: building one costs more than running it.
    """
    result: CursorResult[Any] = session.connection().execute(statement, parameters)
    return result


@dataclass(frozen=True)
class _Form:
    """A statement as one kind of database takes it.

    Attributes:
        text: with the driver's own marks for parameters.
        names: of the parameters, in the order of the marks; None where they are named.
        constants: parameters that the statement brings along.
        binders: what makes a parameter ready for the driver, by name.
        row: makes a row.
        readers: what makes a column's value, None where the driver's is good.
    """

    text: str
    names: Sequence[str] | None
    constants: Mapping[str, Any]
    binders: Mapping[str, Callable[[Any], Any]]
    row: Any
    readers: Sequence[tuple[int, Callable[[Any], Any]]]

    def arguments(self, parameters: Mapping[str, Any]) -> Any:
        values = {**self.constants, **parameters}
        for name, bind in self.binders.items():
            values[name] = bind(values[name])
        return values if self.names is None else [values[name] for name in self.names]

    def read(self, values: Sequence[Any]) -> Any:
        if not self.readers:
            return self.row._make(values)
        cells = list(values)
        for place, reader in self.readers:
            cells[place] = reader(cells[place])
        return self.row._make(cells)


class Prepared:
    """A statement that is compiled once for each database and then costs what the driver does.

    A contact that finds nothing to do asks four; SQLAlchemy's way around each costs ten times what
    the database needs for it.

    Args:
        statement: all its variables are `bindparam`s, none of them expanding; where it brings lists
            of its own along, they are not `required`. What inserts or changes has no defaults of
            Python's, and returns nothing (`inline`).
    """

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._forms: dict[str, _Form] = {}

    def all(self, session: Session, parameters: Mapping[str, Any]) -> list[Any]:
        """Return all rows, each with its columns' names.

        Raises:
            DBAPIError: the database refused, as SQLAlchemy says it.
        """
        connection = session.connection()
        form = self._form(connection.dialect)
        with _cursor(connection, form.text, parameters) as cursor:
            cursor.execute(form.text, form.arguments(parameters))
            return [form.read(values) for values in cursor.fetchall()]

    def run(self, session: Session, parameters: Mapping[str, Any]) -> None:
        """Do what returns no rows.

        Raises:
            DBAPIError: the database refused, as SQLAlchemy says it.
        """
        connection = session.connection()
        form = self._form(connection.dialect)
        with _cursor(connection, form.text, parameters) as cursor:
            cursor.execute(form.text, form.arguments(parameters))

    def first(self, session: Session, parameters: Mapping[str, Any]) -> Any:
        """Return the first row, None where there is none."""
        return next(iter(self.all(session, parameters)), None)

    def _form(self, dialect: Dialect) -> _Form:
        form = self._forms.get(dialect.name)
        if form is None:
            form = self._forms[dialect.name] = _compile(self._statement, dialect)
        return form


class _cursor:  # noqa: N801 (a function in all but its cost)
    """A cursor of the driver's, whose errors are SQLAlchemy's."""

    __slots__ = ("_connection", "_cursor", "_parameters", "_text")

    def __init__(self, connection: Connection, text: str, parameters: Mapping[str, Any]) -> None:
        self._connection = connection
        self._text = text
        self._parameters = parameters
        self._cursor: Any = connection.connection.cursor()

    def __enter__(self) -> Any:
        return self._cursor

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._cursor.close()
        dialect = self._connection.dialect
        if isinstance(error, dialect.loaded_dbapi.Error):
            raise DBAPIError.instance(
                self._text,
                dict(self._parameters),
                error,
                dialect.loaded_dbapi.Error,
                dialect=dialect,
            ) from error


class Locking:
    """A SELECT of rows that are only looked at, or that whoever asks is about to change.

    Args:
        statement: as for `Prepared`.
        table: whose rows are locked for a change; their keys stay free for rows that refer to them.
    """

    def __init__(self, statement: Select[*tuple[Any, ...]], table: type[Base]) -> None:
        self._look = Prepared(statement)
        self._take = Prepared(statement.with_for_update(of=table, key_share=True))

    def all(self, session: Session, parameters: Mapping[str, Any], *, may_write: bool) -> list[Any]:
        """Return all rows; locked where the session may write."""
        return (self._take if may_write else self._look).all(session, parameters)

    def first(self, session: Session, parameters: Mapping[str, Any], *, may_write: bool) -> Any:
        """Return the first row, None where there is none; locked where the session may write."""
        return (self._take if may_write else self._look).first(session, parameters)


def _compile(statement: ClauseElement, dialect: Dialect) -> _Form:
    compiled: Any = statement.compile(dialect=dialect)
    if compiled.post_compile_params:
        # Lists that the statement brings along are written out.
        written = {"render_postcompile": True}
        compiled = statement.compile(dialect=dialect, compile_kwargs=written)
    constants = {name: value for name, value in compiled.params.items() if value is not None}
    columns = compiled._result_columns or ()
    readers = [
        (place, reader)
        for place, column in enumerate(columns)
        if (reader := column.type._cached_result_processor(dialect, None)) is not None
    ]
    return _Form(
        text=compiled.string,
        names=compiled.positiontup,
        constants=constants,
        binders=dict(compiled._bind_processors),
        row=namedtuple("Row", [column.keyname for column in columns]),
        readers=readers,
    )
