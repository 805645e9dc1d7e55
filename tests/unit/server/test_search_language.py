"""The language of the search box: what it means, and what it says about mistakes."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_server.domain.search import SearchError, parse
from deploy_server.domain.search.fields import FIELDS, Argument
from deploy_server.domain.search.tree import (
    Age,
    And,
    Comparison,
    IsEmpty,
    Not,
    Or,
    Pattern,
    Span,
)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def comparison(text: str) -> Comparison:
    node = parse(text)
    assert isinstance(node, Comparison)
    return node


def shape(node) -> object:
    """The tree as nested lists of words."""
    match node:
        case And(parts) | Or(parts):
            return [type(node).__name__.lower(), *map(shape, parts)]
        case Not(part):
            return ["not", shape(part)]
        case IsEmpty(field, _):
            return f"{field.name} is empty"
    return f"{node.field.name} {node.operator} {' '.join(value.text for value in node.values)}"


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("name = a", "name = a"),
        ("NAME=A", "name = A"),
        ("name = a or name = b and tag = c", ["or", "name = a", ["and", "name = b", "tag = c"]]),
        ("(name = a or name = b) and tag = c", ["and", ["or", "name = a", "name = b"], "tag = c"]),
        ("not name = a and tag = c", ["and", ["not", "name = a"], "tag = c"]),
        ("not (name = a and tag = c)", ["not", ["and", "name = a", "tag = c"]]),
        ("NOT name = a OR tag = b", ["or", ["not", "name = a"], "tag = b"]),
        ("name != a", ["not", "name = a"]),
        ("name !~ a", ["not", "name ~ a"]),
        ("tag is empty", "tag is empty"),
        ("tag IS NOT Empty", ["not", "tag is empty"]),
        ("name in (a, b,c)", "name = a b c"),
        ("name in (a)", "name = a"),
        ("name = and and tag = or", ["and", "name = and", "tag = or"]),
        ("name<a", "name < a"),
        ('name="a b"and tag=c', ["and", "name = a b", "tag = c"]),
    ],
)
def test_expressions_mean_what_the_grammar_says(text: str, meaning: object) -> None:
    assert shape(parse(text)) == meaning


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("name = pc-17.example:8080/x", "pc-17.example:8080/x"),
        ('name = "with \\" inside"', 'with " inside'),
        ('name = "C:\\temp"', "C:\\temp"),
        ('name = "ends in \\\\"', "ends in \\"),
        ('name = ""', ""),
        ("name = Größe", "Größe"),
        ("name = 'x'", "'x'"),
        ("name = %_;--", "%_;--"),
    ],
)
def test_values_arrive_as_they_were_meant(text: str, value: str) -> None:
    (found,) = comparison(text).values
    assert isinstance(found, Pattern)
    assert found.text == value


def test_a_star_is_a_wildcard_beside_equals_only() -> None:
    assert comparison("name = a*b").values == (Pattern(("a", "b")),)
    assert comparison('name = "a *"').values == (Pattern(("a ", ""), quoted=True),)
    assert comparison("name ~ a*b").values == (Pattern(("a*b",)),)


def test_durations_and_moments() -> None:
    assert comparison("last_contact > 7d").values == (Age(timedelta(days=7)),)
    assert comparison("last_contact < 90M").values == (Age(timedelta(minutes=90)),)
    day = Span(moment("2026-11-21"), moment("2026-11-22"))
    assert comparison("last_inventory = 2026-11-21").values == (day,)
    minute = Span(moment("2026-11-21T10:00"), moment("2026-11-21T10:01"))
    assert comparison("last_inventory = 2026-11-21T10:00").values == (minute,)
    assert comparison('last_inventory = "2026-11-21 10:00"').values == (minute,)
    second = Span(moment("2026-11-21T10:00:07"), moment("2026-11-21T10:00:08"))
    assert comparison("last_inventory = 2026-11-21T10:00:07Z").values == (second,)


def test_software_and_packages_take_a_name_after_a_colon() -> None:
    assert comparison("software:firefox > 115").argument == Pattern(("firefox",))
    assert comparison('software:"Mozilla Firefox*" > 115').argument == Pattern(
        ("Mozilla Firefox", ""), quoted=True
    )
    assert comparison("software = firefox").argument is None
    assert comparison("package:1800000001 = SUCCESS").argument == Pattern(("1800000001",))


@pytest.mark.parametrize(
    ("text", "character", "words"),
    [
        ("nme = a", 1, "'nme'.*name"),
        ("name = a and hostname = b", 14, "'hostname'"),
        ("pc-17", 1, "name ~"),
        ("name", 5, "the end.*one of ="),
        ("name a", 6, "'a' cannot stand here"),
        ("name =", 7, "the end.*a value"),
        ("name = (a", 8, "a value"),
        ("name = a tag = b", 10, "'tag'.*and, or, or the end"),
        ("name = a and", 13, "the end.*a field"),
        ("(name = a", 10, "closing bracket"),
        ("name = a)", 9, "and, or, or the end"),
        ('name = "a', 8, "quote has no end"),
        ("name ! a", 6, "stands alone"),
        ("name is full", 9, "empty"),
        ("tag is not", 11, "empty"),
        ("name in a", 9, "opening bracket"),
        ("name in (a b)", 12, "comma"),
        ("name in ()", 10, "a value"),
        ("memory > many", 10, "'many' is not a number"),
        ("memory > 7d", 10, "'7d' is not a number"),
        ("memory ~ 1", 8, "cannot be compared with ~"),
        ("ip > 10.0.0.1", 4, "cannot be compared with >"),
        ("last_contact = 7d", 16, "a duration"),
        ("last_contact > soon", 16, "'soon' is not a time"),
        ("last_contact > 2026-13-01", 16, "no date"),
        ("last_contact > 0001-01-01", 16, "out of range"),
        ("package = SUCCESS", 8, "package:NAME"),
        ("software: > 1", 9, "software:NAME"),
        ("name:x = 1", 5, "takes no colon"),
        ("", 1, "the end"),
        ("name = a\0", 9, "NUL"),
        ("= a", 1, "a field"),
    ],
)
def test_a_mistake_is_named_with_its_character_and_what_would_be_right(
    text: str, character: int, words: str
) -> None:
    with pytest.raises(SearchError, match=words) as caught:
        parse(text)
    assert caught.value.position == character - 1
    assert f"character {character}:" in str(caught.value)
    assert caught.value.field == "expression"


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000 + "name = a" + ")" * 5000,
        "not " * 4000 + "name = a",
        " or ".join(["name = a"] * 201),
        "name = " + "*" * 300,
        "name = " + "a" * 501,
        "name = a " + " " * 20_000,
    ],
)
def test_what_no_person_writes_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(SearchError):
        parse(text)


def test_a_long_list_of_names_is_fine() -> None:
    names = ", ".join(f"pc-{number}" for number in range(1500))
    assert len(comparison(f"name in ({names})").values) == 1500


def test_every_field_takes_the_operators_it_names() -> None:
    values = {"memory": "1", "last_contact": "2026-11-21", "last_inventory": "2026-11-21"}
    for field in FIELDS:
        argument = ":x" if field.argument is Argument.MUST else ""
        for operator in field.operators(bool(argument)):
            value = values.get(field.name, "a")
            parse(
                f"{field.name}{argument} {operator} "
                + (f"({value})" if operator == "in" else value)
            )


_pieces = st.sampled_from(
    ["name", "tag", "software:", "package:1", "last_contact", "memory", "=", "!=", "~", "<", ">=",
     "in", "(", ")", ",", "and", "or", "not", "is", "empty", '"a b"', '"', "a*", "7d", "2026-11-21",
     "\\", "!", "é", "\u202e"]
)  # fmt: skip


@given(st.lists(_pieces, max_size=12).map(" ".join) | st.text(max_size=40))
def test_any_text_is_read_or_refused_with_a_place_in_it(text: str) -> None:
    try:
        parse(text)
    except SearchError as error:
        position = error.position
    else:
        position = 0
    assert 0 <= position <= len(text)
