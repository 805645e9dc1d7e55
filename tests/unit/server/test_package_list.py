"""The console's list of packages: filtered, sorted, cut into pages, counted."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultClass
from deploy_server.domain.errors import SpecError
from deploy_server.services.package_list import (
    FILTERS,
    SORTS,
    PackagePage,
    Wanted,
    package_page,
)
from tests.support.clock import START
from tests.support.factories import make_activation, make_assignment, make_computer, make_package


def page_of(session: Session, **arguments: Any) -> PackagePage:
    asked = {key: value for key, value in arguments.items() if key in Wanted.__slots__}
    others = {key: value for key, value in arguments.items() if key not in asked}
    return package_page(session, Wanted(**asked), now=START, **others)


def names(session: Session, **arguments: Any) -> list[str]:
    return [row.package.name for row in page_of(session, **arguments).rows]


@pytest.fixture
def packages(session: Session) -> None:
    """Three packages whose every column has another order."""
    for name, priority, size, os, action, failed in (
        ("Banana", 1, 300, "windows", "STORE", 0),
        ("apple", 9, 100, "linux", "EXECUTE", 2),
        ("Äpfel", 5, 200, "any", "LAUNCH", 1),
    ):
        package = make_package(
            session, name=name, priority=priority, size=size, fragments=size, os=os, action=action,
            created_by=f"{9 - failed}", target=f"{failed} install.sh", revision=9 - failed,
            description=f"{failed}",
        )  # fmt: skip
        activation = make_activation(session, package)
        for number in range(failed):
            make_activation(session, package, fragment_url=f"site{number}.example.org/d")
            make_assignment(session, activation=activation, status="ERR_X")


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("created", ["Banana", "apple", "Äpfel"]),
        ("name", ["apple", "Banana", "Äpfel"]),
        ("priority", ["Banana", "Äpfel", "apple"]),
        ("size", ["apple", "Äpfel", "Banana"]),
        ("fragments", ["apple", "Äpfel", "Banana"]),
        ("os", ["Äpfel", "apple", "Banana"]),
        ("action", ["apple", "Äpfel", "Banana"]),
        ("id", ["Banana", "apple", "Äpfel"]),
        ("created_by", ["apple", "Äpfel", "Banana"]),
        ("revision", ["apple", "Äpfel", "Banana"]),
        ("target", ["Banana", "Äpfel", "apple"]),
        ("description", ["Banana", "Äpfel", "apple"]),
        ("activations", ["Banana", "Äpfel", "apple"]),
        ("error", ["Banana", "Äpfel", "apple"]),
        ("total", ["Banana", "Äpfel", "apple"]),
    ],
)
def test_every_column_sorts_both_ways(session: Session, sort: str, expected: list[str]) -> None:
    assert names(session, sort=sort, descending=False) == expected
    assert names(session, sort=sort, descending=True) == expected[::-1]


@pytest.mark.usefixtures("packages")
def test_a_column_nobody_knows(session: Session) -> None:
    with pytest.raises(SpecError, match="password") as refused:
        page_of(session, sort="password")
    assert all(each in refused.value.hint for each in SORTS)


@pytest.mark.usefixtures("packages")
def test_the_filter_ignores_case_in_every_script(session: Session) -> None:
    assert names(session, query="ÄPFEL") == ["Äpfel"]
    assert names(session, query="INSTALL.SH") == ["Äpfel", "apple", "Banana"]
    assert names(session, query="nothing") == []


@pytest.mark.usefixtures("packages")
def test_pages_are_cut_and_never_empty(session: Session) -> None:
    last = page_of(session, page=99, page_size=2)
    assert (last.page, last.pages, last.total, last.unfiltered) == (2, 2, 3, 3)
    assert [row.package.name for row in last.rows] == ["Banana"]
    none = page_of(session, query="nothing")
    assert (none.rows, none.page, none.pages, none.total, none.unfiltered) == ((), 1, 1, 0, 3)


def test_rows_have_counts_and_open_activations(session: Session) -> None:
    package = make_package(session)
    activation = make_activation(session, package)
    make_activation(session, package, fragment_url="elsewhere.example.org/x")
    make_activation(session, package, ended_at=START)
    make_assignment(session, make_computer(session, tag="LYON"), activation, status="SUCCESS")
    make_assignment(session, make_computer(session), activation)
    (row,) = page_of(session).rows
    assert row.activations == 2
    assert row.status.by_class[ResultClass.SUCCESS] == 1
    assert row.status.total == 2
    (row,) = page_of(session, perimeter=frozenset({"lyon"})).rows
    assert row.status.total == 1


def test_deleted_ones_have_a_list_of_their_own(session: Session) -> None:
    make_package(session, name="here")
    make_package(session, name="gone", deleted_at=START)
    assert names(session) == ["here"]
    assert names(session, deleted=True) == ["gone"]


@pytest.mark.usefixtures("packages")
def test_filters_and_counts_choose_together(session: Session) -> None:
    make_package(session, name="bare", hidden_at=START)
    assert names(session, os="windows") == ["Banana"]
    assert names(session, action="EXECUTE", os="linux") == ["apple"]
    assert names(session, action="EXECUTE", os="any") == []
    assert names(session, state="inactive") == ["bare"]
    assert names(session, state="hidden") == ["bare"]
    assert names(session, state="activated", query="a") == ["Äpfel", "apple", "Banana"]
    assert names(session, having="error") == ["Äpfel", "apple"]
    assert names(session, having="nobody") == ["bare", "Banana"]
    assert names(session, having="success") == []
    paris = frozenset({"paris"})
    assert names(session, having="error", perimeter=paris) == []
    assert len(names(session, having="nobody", perimeter=paris)) == 4


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_nobody_knows(name: str) -> None:
    with pytest.raises(SpecError, match="sideways") as refused:
        Wanted(**{name: "sideways"})
    assert all(each in refused.value.hint for each in FILTERS[name])
    assert Wanted(**{name: FILTERS[name][0]}).narrows


def test_the_deleted_ones_sort_by_when(session: Session) -> None:
    for days in (2, 1, 3):
        make_package(session, name=str(days), deleted_at=START + timedelta(days=days))
    make_package(session, name="there")
    make_package(session, name="here")
    assert names(session, deleted=True, sort="deleted", descending=False) == ["1", "2", "3"]
    assert names(session, sort="deleted") == ["here", "there"]
