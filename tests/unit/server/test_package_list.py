"""The console's list of packages: filtered, sorted, cut into pages, counted."""

from typing import Any

import pytest
from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultClass
from deploy_server.domain.errors import SpecError
from deploy_server.services.package_list import SORTS, package_page
from tests.support.clock import START
from tests.support.factories import make_activation, make_assignment, make_computer, make_package


def names(session: Session, **arguments: Any) -> list[str]:
    page = package_page(session, now=START, **arguments)
    return [row.package.name for row in page.rows]


@pytest.fixture
def packages(session: Session) -> None:
    """Three packages whose every column has another order."""
    for name, priority, size, os, failed in (
        ("Banana", 1, 300, "windows", 0),
        ("apple", 9, 100, "linux", 2),
        ("Äpfel", 5, 200, "any", 1),
    ):
        activation = make_activation(
            session,
            make_package(session, name=name, priority=priority, size=size, fragments=size, os=os),
        )
        for _ in range(failed):
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
        ("error", ["Banana", "Äpfel", "apple"]),
    ],
)
def test_every_column_sorts_both_ways(session: Session, sort: str, expected: list[str]) -> None:
    assert names(session, sort=sort, descending=False) == expected
    assert names(session, sort=sort, descending=True) == expected[::-1]


@pytest.mark.usefixtures("packages")
def test_a_column_nobody_knows(session: Session) -> None:
    with pytest.raises(SpecError, match="password") as refused:
        package_page(session, now=START, sort="password")
    assert all(each in refused.value.hint for each in SORTS)


@pytest.mark.usefixtures("packages")
def test_the_filter_ignores_case_in_every_script(session: Session) -> None:
    assert names(session, query="ÄPFEL") == ["Äpfel"]
    assert names(session, query="INSTALL.SH") == ["Äpfel", "apple", "Banana"]
    assert names(session, query="nothing") == []


@pytest.mark.usefixtures("packages")
def test_pages_are_cut_and_never_empty(session: Session) -> None:
    last = package_page(session, now=START, page=99, page_size=2)
    assert (last.page, last.pages, last.total, last.unfiltered) == (2, 2, 3, 3)
    assert [row.package.name for row in last.rows] == ["Banana"]
    none = package_page(session, now=START, query="nothing")
    assert (none.rows, none.page, none.pages, none.total, none.unfiltered) == ((), 1, 1, 0, 3)


def test_rows_have_counts_and_open_activations(session: Session) -> None:
    package = make_package(session)
    activation = make_activation(session, package)
    make_activation(session, package, fragment_url="elsewhere.example.org/x")
    make_activation(session, package, ended_at=START)
    make_assignment(session, make_computer(session, tag="LYON"), activation, status="SUCCESS")
    make_assignment(session, make_computer(session), activation)
    (row,) = package_page(session, now=START).rows
    assert row.activations == 2
    assert row.status.by_class[ResultClass.SUCCESS] == 1
    assert row.status.total == 2
    (row,) = package_page(session, now=START, perimeter=frozenset({"lyon"})).rows
    assert row.status.total == 1


def test_deleted_ones_have_a_list_of_their_own(session: Session) -> None:
    make_package(session, name="here")
    make_package(session, name="gone", deleted_at=START)
    assert names(session) == ["here"]
    assert names(session, deleted=True) == ["gone"]
