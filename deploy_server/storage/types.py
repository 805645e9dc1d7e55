"""Column types and the folding of text, so that every database answers alike."""

import unicodedata
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Dialect, String, TypeDecorator


def fold(text: str) -> str:
    """Return `text` for comparing without case, in any script: NFKC and casefold.

    A NUL, which PostgreSQL cannot even look for, becomes the replacement character.
    """
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def utc_text(moment: datetime) -> str:
    """Return `moment` as databases and JSON have it: 2026-11-21T10:15:01Z."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime, stored as text that sorts by time; whole seconds.

    Shape: 2026-11-21T10:15:01Z
    """

    impl = String(20)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Use byte order where the database's own order depends on a locale."""
        return dialect.type_descriptor(_exact(20, dialect))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """Return the text for `value`."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without zone: {value!r}")
        return utc_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        """Return the datetime for the stored text."""
        return None if value is None else datetime.fromisoformat(value)


class Key(TypeDecorator[str]):
    """Folded text for searching and sorting: byte order on every database."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Use byte order where the database's own order depends on a locale."""
        return dialect.type_descriptor(_exact(None, dialect))


def _exact(length: int | None, dialect: Dialect) -> String:
    return String(length, collation="C" if dialect.name == "postgresql" else None)
