"""Tokens become a tree, or an error that names the character and what may stand there."""

from functools import lru_cache

from deploy_server.domain.search.errors import SearchError
from deploy_server.domain.search.fields import Argument, Field, find_field
from deploy_server.domain.search.tokens import Token, tokenize
from deploy_server.domain.search.tree import And, Comparison, IsEmpty, Node, Not, Or, Pattern
from deploy_server.domain.search.values import read_value

DEPTH_MAX = 40  # brackets and negations inside each other
WEIGHT_MAX = 200  # comparisons and wildcards; databases refuse deeper trees

_NEGATIONS = {"!=": "=", "!~": "~"}


@lru_cache(maxsize=512)
def parse(text: str) -> Node:
    """Return what `text` means.

    Raises:
        SearchError: names the character that is wrong and what would be right.
    """
    return _Parser(tokenize(text)).whole()


class _Parser:
    """Recursive descent, one method for each rule of the grammar."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._index = 0
        self._depth = 0
        self._weight = 0

    def whole(self) -> Node:
        node = self._expression()
        if self._token.kind != "end":
            raise self._expected("and, or, or the end")
        return node

    @property
    def _token(self) -> Token:
        return self._tokens[self._index]

    def _next(self) -> Token:
        token = self._token
        if token.kind != "end":
            self._index += 1
        return token

    def _is_word(self, word: str) -> bool:
        return self._token.kind == "word" and self._token.text.lower() == word

    def _take_word(self, word: str) -> bool:
        found = self._is_word(word)
        if found:
            self._next()
        return found

    def _take_sign(self, sign: str) -> bool:
        found = self._token.kind == "sign" and self._token.text == sign
        if found:
            self._next()
        return found

    def _expected(self, what: str) -> SearchError:
        return SearchError(
            self._token.position, f"{self._token} cannot stand here", f"Write {what}"
        )

    def _expression(self) -> Node:
        parts = [self._term()]
        while self._take_word("or"):
            parts.append(self._term())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _term(self) -> Node:
        parts = [self._factor()]
        while self._take_word("and"):
            parts.append(self._factor())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _factor(self) -> Node:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise SearchError(
                self._token.position,
                f"more than {DEPTH_MAX} levels of brackets and not",
                "Flatten it",
            )
        node = self._negated() if self._take_word("not") else self._positive()
        self._depth -= 1
        return node

    def _negated(self) -> Node:
        return Not(self._factor())

    def _positive(self) -> Node:
        if not self._take_sign("("):
            return self._condition()
        node = self._expression()
        if not self._take_sign(")"):
            raise self._expected("and, or, or the closing bracket")
        return node

    def _condition(self) -> Node:
        self._weigh()
        field, argument = self._field()
        if self._take_word("is"):
            negated = self._take_word("not")
            if not self._take_word("empty"):
                raise self._expected("empty" if negated else "empty, or not empty")
            empty = IsEmpty(field, argument)
            return Not(empty) if negated else empty
        return self._comparison(field, argument)

    def _field(self) -> tuple[Field, Pattern | None]:
        token = self._token
        if token.kind != "word":
            raise self._expected("a field such as name, or an opening bracket")
        self._next()
        name, colon, rest = token.text.partition(":")
        field = find_field(name, token.position)
        argument = self._argument(rest, token) if colon else None
        if argument is None and (colon or field.argument is Argument.MUST):
            raise SearchError(
                token.position + len(name),
                f"{field.name} needs the name of one",
                f'Write {field.name}:NAME or {field.name}:"NAME WITH SPACES"',
            )
        if argument is not None and field.argument is Argument.NEVER:
            raise SearchError(
                token.position + len(name),
                f"{field.name} takes no colon",
                f"Write {field.name} alone",
            )
        return field, argument

    def _argument(self, rest: str, token: Token) -> Pattern | None:
        place = Token("word", rest, token.position + len(token.text) - len(rest))
        if not rest and self._token.kind == "quoted":
            place = self._next()
        if not place.text:
            return None
        pattern = read_value(place, find_field("name", 0).kind, "=")
        assert isinstance(pattern, Pattern)
        self._weigh(len(pattern.pieces) - 1)
        return pattern

    def _comparison(self, field: Field, argument: Pattern | None) -> Node:
        allowed = field.operators(argument is not None)
        token = self._token
        operator = token.text.lower()
        is_operator = token.kind == "sign" or self._is_word("in")
        if not is_operator or operator in ("(", ")", ","):
            raise self._expected(f"one of {' '.join(allowed)}, or is empty")
        if operator not in allowed:
            raise SearchError(
                token.position,
                f"{field.name} cannot be compared with {operator}",
                f"Write one of {' '.join(allowed)}",
            )
        self._next()
        kind = field.kind_with(argument is not None)
        base = "=" if operator == "in" else _NEGATIONS.get(operator, operator)
        tokens = self._list() if operator == "in" else [self._value()]
        values = tuple(read_value(each, kind, base) for each in tokens)
        self._weigh(sum(len(each.pieces) - 1 for each in values if isinstance(each, Pattern)))
        node = Comparison(field, argument, base, values)
        return Not(node) if operator in _NEGATIONS else node

    def _list(self) -> list[Token]:
        if not self._take_sign("("):
            raise self._expected("an opening bracket and values, such as (a, b)")
        tokens = [self._value()]
        while self._take_sign(","):
            tokens.append(self._value())
        if not self._take_sign(")"):
            raise self._expected("a comma or the closing bracket")
        return tokens

    def _value(self) -> Token:
        if self._token.kind not in ("word", "quoted"):
            raise self._expected("a value; put it in quotes if it has spaces or signs")
        return self._next()

    def _weigh(self, weight: int = 1) -> None:
        self._weight += weight
        if self._weight > WEIGHT_MAX:
            raise SearchError(
                self._token.position,
                f"more than {WEIGHT_MAX} comparisons and wildcards",
                "Use in (…) without wildcards, or a group",
            )
