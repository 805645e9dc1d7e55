"""What every model stands on: names of constraints, types of columns."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Integer, LargeBinary, MetaData
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import JSON

from deploy_server.storage.types import UtcDateTime

_NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """The base of every model."""

    metadata = MetaData(naming_convention=_NAMING)
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own way to map types
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[str]: JSON,
        bytes: LargeBinary,
    }


def big_integer() -> Any:
    """Return the type of ids of large tables.

    64 bits; on SQLite an INTEGER, because only that can be a row's own id there.
    """
    return BigInteger().with_variant(Integer(), "sqlite")
