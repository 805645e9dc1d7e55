"""Completion and the criteria builder: what may stand where, and expressions there and back."""

import pytest

from deploy_server.domain.errors import SpecError
from deploy_server.domain.search import SearchError, parse
from deploy_server.domain.search.completion import Kind, place_in
from deploy_server.domain.search.fields import FIELDS
from deploy_server.domain.search.writing import Criterion, quoted, read_criteria, write

PLACES = [
    ("", Kind.FIELD, "", 0),
    ("na", Kind.FIELD, "na", 0),
    ("name", Kind.FIELD, "name", 0),
    ("name ", Kind.OPERATOR, "", 5),
    ("name !", Kind.OPERATOR, "!", 5),
    ("name i", Kind.OPERATOR, "i", 5),
    ("name is n", Kind.OPERATOR, "n", 8),
    ("name is empty ", Kind.JOIN, "", 14),
    ("name =", Kind.VALUE, "", 6),
    ("name = pc", Kind.VALUE, "pc", 7),
    ('name = "pc 1', Kind.VALUE, "pc 1", 7),
    ('name = "pc 1" ', Kind.JOIN, "", 14),
    ("name = pc an", Kind.JOIN, "an", 10),
    ("name = pc and ", Kind.FIELD, "", 14),
    ("not (name = pc or ta", Kind.FIELD, "ta", 18),
    ("(name = pc) ", Kind.JOIN, "", 12),
    ("tag in ", Kind.NOTHING, "", 7),
    ("tag in (", Kind.VALUE, "", 8),
    ("tag in (a, b", Kind.VALUE, "b", 11),
    ("tag in (a, b) ", Kind.JOIN, "", 14),
    ("software:fire", Kind.ARGUMENT, "fire", 9),
    ('software:"Libre O', Kind.ARGUMENT, "Libre O", 9),
    ('software:"Libre O" ', Kind.OPERATOR, "", 19),
    ("package:tool = suc", Kind.VALUE, "suc", 15),
    ("name:x", Kind.NOTHING, "name:x", 0),
    ("nonsense ", Kind.NOTHING, "", 9),
]


@pytest.mark.parametrize(("text", "kind", "prefix", "start"), PLACES)
def test_what_may_stand_where(text: str, kind: Kind, prefix: str, start: int) -> None:
    place = place_in(text, len(text))
    assert (place.kind, place.prefix, place.start) == (kind, prefix, start)


def test_what_stands_behind_the_place_does_not_count() -> None:
    place = place_in("na = x and tag = y", 2)
    assert (place.kind, place.prefix) == (Kind.FIELD, "na")
    assert place_in("name = x", 999).kind is Kind.VALUE
    assert place_in("name = x", -5).kind is Kind.FIELD


def test_the_field_is_known() -> None:
    place = place_in("name = x and software:firefox > 1", 33)
    assert place.field is not None
    assert (place.field.name, place.argument, place.prefix) == ("software", "firefox", "1")


@pytest.mark.parametrize("text", ["pc", "a b", 'say "x"', "C:\\temp dir", "", "<3", "é,ß"])
def test_quoted_text_means_itself(text: str) -> None:
    node = parse(f"name ~ {quoted(text)}")
    assert node.values[0].text == text  # type: ignore[union-attr]


SIMPLE = [
    "name = pc-*",
    "name != pc and os ~ windows",
    'tag = LYON or tag = "LYON WEST" or tag is empty',
    "last_contact > 7d and last_inventory < 2w and last_contact >= 90s",
    "last_contact > 2026-11-21 and last_contact < 2026-11-21T10:00",
    "memory >= 8192 and memory < 16384.5",
    "tag in (LYON, PARIS) and serial is not empty",
    "software:firefox > 115 and software:vlc is empty",
    "package:1800000001 = success or package:tool = ERR_BAD_DIGEST",
]


@pytest.mark.parametrize("text", SIMPLE)
def test_simple_expressions_become_criteria_and_the_same_again(text: str) -> None:
    found = read_criteria(text)
    assert found is not None
    join, criteria = found
    assert read_criteria(write(criteria, join)) == found
    assert unquoted(write(criteria, join)) == unquoted(text)


def unquoted(text: str) -> str:
    """What an expression means, without which words stood in quotes."""
    return repr(parse(text)).replace("quoted=True", "quoted=False")


@pytest.mark.parametrize(
    "text",
    [
        "not (name = a or name = b)",
        "name = a and (tag = b or tag = c)",
        "not tag in (a, b)",
        'package:x = "success"',
        "not name < b",
        'tag in (a, "b, c")',
    ],
)
def test_others_are_not_simple(text: str) -> None:
    assert read_criteria(text) is None


def test_nothing_is_no_criteria() -> None:
    assert read_criteria("  ") == ("and", [])
    assert write([]) == ""


def test_criteria_are_added_to_what_is_there() -> None:
    two = [Criterion("tag", "", "=", "A"), Criterion("tag", "", "=", "B")]
    assert write(two, "or", "os ~ x or os ~ y") == "(os ~ x or os ~ y) and (tag = A or tag = B)"
    assert write(two[:1], "or", "os ~ x") == "os ~ x and tag = A"
    assert write([], "and", " os ~ x ") == "os ~ x"
    with pytest.raises(SearchError):
        write(two, "and", "nonsense")


@pytest.mark.parametrize(
    "criterion",
    [
        Criterion("nmae", "", "=", "x"),
        Criterion("memory", "", "=", "much"),
        Criterion("name", "", "in", " , "),
        Criterion("package", "", "=", "success"),
        Criterion("last_contact", "", "~", "x"),
        Criterion("last_contact", "", "; drop", "x"),
    ],
)
def test_a_wrong_criterion_is_named(criterion: Criterion) -> None:
    with pytest.raises(SpecError) as caught:
        write([Criterion("name", "", "=", "x"), criterion])
    assert caught.value.field == "criterion-2"
    assert "character" not in caught.value.message


def test_an_argument_for_a_field_that_takes_none_is_left_out() -> None:
    assert write([Criterion("name", "firefox", "=", "x")]) == "name = x"


def test_every_field_has_a_meaning_for_the_list() -> None:
    assert all(each.meaning for each in FIELDS)
