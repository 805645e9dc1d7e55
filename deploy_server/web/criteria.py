"""The criteria builder: an expression as rows of a form, where it is simple enough for that."""

from dataclasses import dataclass

from deploy_server.domain.errors import SpecError
from deploy_server.domain.search.completion import OPERATORS
from deploy_server.domain.search.fields import FIELDS, Argument, Field
from deploy_server.domain.search.writing import Criterion, read_criteria

#: Rows that are there to be filled in, without a script that adds more.
_SPARE = 2
_EMPTY = Criterion("", "", "=", "")


@dataclass(frozen=True)
class Builder:
    """What the builder shows.

    Attributes:
        join: `and` or `or`.
        rows: of the expression, with empty ones behind them.
        fits: whether the expression is in the rows; one with brackets is not.
        fields: to choose from.
        operators: to choose from, each in words.
    """

    join: str
    rows: list[Criterion]
    fits: bool
    fields: tuple[Field, ...] = FIELDS
    operators: tuple[tuple[str, str], ...] = tuple(OPERATORS.items())

    @staticmethod
    def takes(field: Field) -> str:
        """The operators of a field, for the script that offers no others."""
        signs = field.operators(False) + field.operators(field.argument is not Argument.NEVER)
        return "|".join(dict.fromkeys((*signs, "is empty", "is not empty")))


def builder(expression: str, error: SpecError | None) -> Builder:
    """The builder for an expression; empty where that is wrong or not simple."""
    found = None if error else read_criteria(expression)
    join, rows = found or ("and", [])
    return Builder(join, [*rows, *[_EMPTY] * _SPARE], found is not None)
