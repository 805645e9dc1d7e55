import json
import zlib
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from deploy_server.domain.errors import NotFound, SpecError
from deploy_server.services import computers
from deploy_server.storage.models import (
    Assignment,
    Computer,
    ComputerSection,
    GroupMember,
    SectionContent,
    Setting,
    SoftwareItem,
    SoftwareSet,
    SoftwareSetItem,
)
from tests.support.clock import START
from tests.support.factories import make_assignment, make_computer, make_group

LYON = frozenset({"Lyon"})


def _names(page: computers.ComputerPage) -> list[str]:
    return [row.name for row in page.rows]


def test_pages_add_up_to_the_list(session: Session) -> None:
    for number in range(25):
        make_computer(session, name=f"pc-{number:02}")
    pages = [
        computers.search_computers(session, now=START, page=n, page_size=10) for n in (1, 2, 3, 4)
    ]
    assert [name for page in pages for name in _names(page)] == [f"pc-{n:02}" for n in range(25)]
    assert {(page.total, page.pages) for page in pages} == {(25, 3)}
    listed = [row.name for row in computers.iter_computers(session, now=START)]
    assert len(listed) == computers.count_computers(session, now=START) == 25


def test_nothing_is_one_empty_page(session: Session) -> None:
    page = computers.search_computers(session, now=START)
    assert (page.rows, page.total, page.pages) == ((), 0, 1)


@pytest.mark.parametrize("sort", computers.SORTS)
def test_every_sort_is_total_and_turns_round(session: Session, sort: str) -> None:
    make_computer(session, name="b", memory=None, last_contact=None, last_inventory=None)
    make_computer(session, name="A", memory=100, last_contact=START)
    make_computer(session, name="ä", memory=20, last_contact=START + timedelta(days=1))
    up = _names(computers.search_computers(session, now=START, sort=sort))
    down = _names(computers.search_computers(session, now=START, sort=sort, descending=True))
    assert sorted(up) == ["A", "b", "ä"]
    assert up == down[::-1]
    if sort in ("memory", "last_contact"):
        assert up[0] == "b"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"sort": "1; DROP TABLE computer"}, "sort"),
        ({"page": 0}, "page"),
        ({"page_size": 0}, "page"),
        ({"page_size": 1_000_000}, "page"),
    ],
)
def test_impossible_lists_are_refused(
    session: Session, changes: dict[str, str | int], field: str
) -> None:
    with pytest.raises(SpecError) as caught:
        computers.search_computers(session, now=START, **changes)  # type: ignore[arg-type]
    assert caught.value.field == field


def test_a_perimeter_hides_everything_else(session: Session) -> None:
    mine = make_computer(session, name="mine", tag="LYON")
    other = make_computer(session, name="other", tag="PARIS")
    make_computer(session, name="none", tag="")
    page = computers.search_computers(session, now=START, perimeter=LYON)
    assert (_names(page), page.total) == (["mine"], 1)
    assert computers.count_computers(session, now=START, perimeter=LYON) == 1
    assert [row.name for row in computers.iter_computers(session, now=START, perimeter=LYON)] == [
        "mine"
    ]
    assert computers.get_computer(session, mine.device_id, perimeter=LYON).name == "mine"
    with pytest.raises(NotFound):
        computers.get_computer(session, other.device_id, perimeter=LYON)
    with pytest.raises(NotFound):
        computers.get_computer_by_id(session, other.id, perimeter=LYON)
    with pytest.raises(NotFound):
        computers.delete_computers(
            session, [mine.device_id, other.device_id], actor="x", now=START, perimeter=LYON
        )
    assert computers.count_computers(session, now=START) == 3


def test_tags_are_listed_once_whatever_their_case(session: Session) -> None:
    for tag in ("paris", "Lyon", "LYON", ""):
        make_computer(session, tag=tag)
    assert [tag.casefold() for tag in computers.tags_in_use(session)] == ["lyon", "paris"]


def test_inventory_and_software_come_back(session: Session) -> None:
    items = [
        SoftwareItem(
            digest=bytes([n]),
            name=name,
            name_key=name.lower(),
            version="1",
            version_key="1",
            version_sort="1",
            publisher="",
        )
        for n, name in enumerate(("Zsh", "apt"))
    ]
    software = SoftwareSet(digest=b"set", size=2)
    content = zlib.compress(json.dumps([[["TYPE", "/"], ["TOTAL", "5"]]]).encode())
    drives = SectionContent(digest=b"drives", content=content)
    session.add_all([*items, software, drives])
    session.flush()
    session.add_all(SoftwareSetItem(set_id=software.id, item_id=item.id) for item in items)
    computer = make_computer(session, software_set_id=software.id)
    session.add(ComputerSection(computer_id=computer.id, name="DRIVES", content_id=drives.id))
    session.flush()
    sections = computers.inventory_sections(session, computer.id)
    assert sections == {"DRIVES": [[("TYPE", "/"), ("TOTAL", "5")]]}
    assert [row.name for row in computers.software_of(session, computer.id)] == ["apt", "Zsh"]


def test_deleting_takes_what_belongs_to_the_computer_and_nothing_else(session: Session) -> None:
    gone, kept = make_computer(session), make_computer(session)
    make_group(session, gone, kept)
    make_assignment(session, gone)
    make_assignment(session, kept)
    for computer in (gone, kept):
        session.add(
            Setting(
                scope="computer",
                scope_id=computer.id,
                name="FREQUENCY",
                value="1",
                changed_at=START,
            )
        )
    session.flush()
    device_ids = [gone.device_id, gone.device_id]
    assert computers.delete_computers(session, device_ids, actor="admin", now=START) == 1
    for model in (Computer, Assignment, GroupMember, Setting):
        assert session.scalar(select(func.count()).select_from(model)) == 1, model


def test_deleting_one_that_is_not_there_deletes_nothing(session: Session) -> None:
    computer = make_computer(session)
    with pytest.raises(NotFound, match="there is no computer 'nobody'"):
        computers.delete_computers(
            session, [computer.device_id, "nobody"], actor="admin", now=START
        )
    assert computers.count_computers(session, now=START) == 1
