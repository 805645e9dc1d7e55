"""The list of packages, a package's page, deletion, export."""

import csv
import io
import re
import zipfile

import pytest
from sqlalchemy import select

from deploy_server.storage.models import DownloadHistory, Package
from deploy_server.web.formats import plural
from tests.support.archive_bytes import tar_gz
from tests.support.console import Browser, Console, words
from tests.support.factories import (
    make_activation,
    make_assignment,
    make_computer,
    make_group,
    make_group_assignment,
    make_package,
)


def names(page: str) -> list[str]:
    """The packages of a list, in order."""
    return re.findall(r'<a class="cut" title="([^"]*)" href="/packages/\d+">', page)


def built(browser: Browser) -> str:
    """The address of a package that was really built."""
    form = {
        "name": "Real",
        "os": "linux",
        "action": "LAUNCH",
        "target": "install.sh",
        "priority": "5",
        "file": (io.BytesIO(tar_gz({"install.sh": b"x"})), "real.tar.gz"),
        "do": "build",
    }
    browser.get("/packages/build")
    return browser.post("/packages/build", form).location


def test_no_packages_teach_the_next_step(admin: Browser) -> None:
    page = admin.get("/packages").text
    assert "No packages yet" in page
    assert 'href="/packages/build"' in page
    assert "No package was deleted" in admin.get("/packages?deleted=1").text


def test_the_newest_comes_first_and_columns_sort(admin: Browser, console: Console) -> None:
    with console.session() as session:
        make_package(session, name="Banana", size=10)
        make_package(session, name="apple", size=30)
        make_package(session, name="Cherry", size=20)
    assert names(admin.get("/packages").text) == ["Cherry", "apple", "Banana"]
    assert names(admin.get("/packages?sort=name").text) == ["apple", "Banana", "Cherry"]
    assert names(admin.get("/packages?sort=size&desc=1").text) == ["apple", "Cherry", "Banana"]


def test_a_column_nobody_knows_is_refused(admin: Browser) -> None:
    answer = admin.get("/packages?sort=password_hash")
    assert answer.status_code == 422
    assert "cannot be sorted by" in answer.text


@pytest.mark.parametrize("query", ["BANANA", "ticket 7", "setup.exe", "1800000"])
def test_the_filter_finds_name_description_command_and_id(
    admin: Browser, console: Console, query: str
) -> None:
    with console.session() as session:
        make_package(session, id=1_800_000_777, name="Banana", description="Ticket 7",
                     target="setup.exe /S")  # fmt: skip
        make_package(session, id=1_700_000_001, name="Other", target="x")
    assert names(admin.get(f"/packages?q={query}").text) == ["Banana"]
    assert "No package matches" in admin.get("/packages?q=nothing-like-it").text


def test_counters_are_links_to_the_lists_they_count(admin: Browser, console: Console) -> None:
    with console.session() as session:
        activation = make_activation(session)
        for status in ("WAITING", "NOTIFIED", "SUCCESS", "SUCCESS", "ERR_BAD_DIGEST", "SUCCESS_3"):
            make_assignment(session, activation=activation, status=status)
    page = admin.get("/packages").text
    links = re.findall(r'<a class="count (\w+)" href="([^"]+)">(\d+)</a>', page)
    assert {(kind, count) for kind, _, count in links} == {
        ("waiting", "1"), ("notified", "1"), ("success", "2"), ("error", "2")
    }  # fmt: skip
    for _, address, count in links:
        listed = admin.get(address.replace("&amp;", "&")).text
        assert f"1–{count}" in listed
        assert f"of {plural(int(count), 'computer')} " in re.sub(r"\s+", " ", listed)


def test_long_lists_have_pages(admin: Browser, console: Console) -> None:
    with console.session() as session:
        for number in range(53):
            make_package(session, name=f"package {number:02d}")
    first = admin.get("/packages?sort=name").text
    assert len(names(first)) == 50
    assert "page=2" in first
    last = admin.get("/packages?sort=name&page=2").text
    assert names(last) == ["package 50", "package 51", "package 52"]
    assert names(admin.get("/packages?sort=name&page=99").text) == names(last)
    assert len(names(admin.get("/packages?page=-1").text)) == 50
    assert len(names(admin.get("/packages?page=x").text)) == 50


def test_a_package_s_page_says_everything(admin: Browser, console: Console) -> None:
    address = built(admin)
    page = admin.get(address).text
    for text in ("Execute a file", "real.tar.gz", "Not activated yet", "GARDEFOU=", "MD5, Hexa",
                 "3 files in the published folder", "superadmin", "Takes about"):  # fmt: skip
        assert text in page, text


def test_ending_activations_keeps_the_files(admin: Browser, console: Console) -> None:
    package_id = int(built(admin).rpartition("/")[2])
    folder = console.config.download / str(package_id)
    before = {each.name: each.read_bytes() for each in folder.iterdir()}
    with console.session() as session:
        package = session.get_one(Package, package_id)
        ids = [
            make_activation(session, package, fragment_url=f"site{number}.example.org/d").id
            for number in range(2)
        ]
    admin.post("/activations/end", {"activation": [str(each) for each in ids]})
    assert {each.name: each.read_bytes() for each in folder.iterdir()} == before
    assert "Not activated yet" in admin.get(f"/packages/{package_id}").text


def test_its_results_are_drawn_and_linked(admin: Browser, console: Console) -> None:
    with console.session() as session:
        activation = make_activation(session)
        package_id = activation.package_id
        for status in ("WAITING", "SUCCESS", "SUCCESS_ALREADY_SETUP", "ERR_EXIT_CODE_7"):
            make_assignment(session, activation=activation, status=status)
    for address in (f"/packages/{package_id}", f"/packages/{package_id}/counts"):
        page = admin.get(address).text
        assert "WAITING NOTIFICATION" in page
        assert "25.0 %" in page
        assert 'class="slice already"' in page
        assert f"/packages/{package_id}/results?status=ERR_EXIT_CODE_7" in page


def test_deleting_shows_first_what_it_touches(admin: Browser, console: Console) -> None:
    address = built(admin)
    package_id = int(address.rpartition("/")[2])
    with console.session() as session:
        activation = make_activation(session, session.get_one(Package, package_id))
        make_assignment(session, activation=activation)
        make_assignment(session, activation=activation)
        make_assignment(session, activation=activation, status="NOTIFIED")
    page = words(admin.get(f"/packages/delete?package={package_id}").text)
    assert "1 activation ends" in page
    assert "2 computers that wait will not be told" in page
    assert "1 computer was told already" in page
    with console.sessions() as session:
        assert session.get_one(Package, package_id).deleted_at is None
    answer = admin.post("/packages/delete", {"package": package_id})
    assert answer.location == "/packages"
    assert "Deleted 1 package with 1 activation" in admin.get("/packages").text
    with console.sessions() as session:
        assert session.get_one(Package, package_id).deleted_at is not None
    assert not (console.config.download / str(package_id)).exists()
    assert "This package was deleted" in admin.get(address).text
    assert names(admin.get("/packages?deleted=1").text) == ["Real"]


def test_deleting_nothing_says_so(admin: Browser) -> None:
    assert admin.get("/packages/delete").location == "/packages"
    assert "Tick at least one package" in admin.get("/packages").text
    assert admin.post("/packages/delete").status_code == 404
    assert admin.get("/packages/delete?package=1").status_code == 404


def test_export_is_a_zip_of_the_folder(admin: Browser) -> None:
    address = built(admin)
    answer = admin.get(f"{address}/export")
    assert answer.mimetype == "application/zip"
    listed = zipfile.ZipFile(io.BytesIO(answer.data)).namelist()
    assert any(name.endswith("info") for name in listed)


@pytest.mark.parametrize("path", ["1", "99999999999999999999", "x", "-1"])
def test_a_package_that_is_not_there_is_a_page(admin: Browser, path: str) -> None:
    answer = admin.get(f"/packages/{path}")
    assert answer.status_code == 404
    assert "Overview" in answer.text or "overview" in answer.text


def test_tags_limit_the_counts(console: Console) -> None:
    with console.session() as session:
        activation = make_activation(session)
        for tag in ("LYON", "PARIS", "PARIS"):
            make_assignment(session, make_computer(session, tag=tag), activation)
    page = console.user("viewer", "lyon").get(f"/packages/{activation.package_id}/counts").text
    assert ">1</text>" in page
    assert (
        ">3</text>" in console.user("viewer").get(f"/packages/{activation.package_id}/counts").text
    )


def test_members_of_a_group_count_before_their_contact(admin: Browser, console: Console) -> None:
    with console.session() as session:
        activation = make_activation(session)
        group = make_group(session, make_computer(session), make_computer(session))
        make_group_assignment(session, group, activation)
    page = admin.get(f"/packages/{activation.package_id}/counts").text
    assert ">2</text>" in page


def test_the_list_is_exported_as_it_is_filtered(admin: Browser, console: Console) -> None:
    with console.session() as session:
        activation = make_activation(session, make_package(session, name="=cmd()", priority=0))
        for code in ("WAITING", "SUCCESS", "SUCCESS", "ERR_X"):
            make_assignment(session, activation=activation, status=code)
        for number in range(60):
            make_package(session, name=f"other {number}")
    answer = admin.get("/packages/csv?q=other")
    assert answer.mimetype == "text/csv"
    assert len(list(csv.DictReader(io.StringIO(answer.text)))) == 60
    (row,) = csv.DictReader(io.StringIO(admin.get("/packages/csv?q=cmd").text))
    assert (row["name"], row["priority"]) == ("'=cmd()", "0")
    counts = [row[name] for name in ("waiting", "notified", "success", "error")]
    assert counts == ["1", "0", "2", "1"]
    asked = "q=other&amp;os=linux&amp;sort=size"
    assert f"packages/csv?{asked}" in admin.get(f"/packages?{asked.replace('&amp;', '&')}").text


def test_ticked_packages_are_deployed_together(admin: Browser, console: Console) -> None:
    with console.session() as session:
        one, two, other = (make_activation(session, make_package(session)) for _ in range(3))
        sites = make_package(session)
        for number in range(2):
            make_activation(session, sites, fragment_url=f"site{number}.example.org/d")
        bare = make_package(session)
    ids = (one.package_id, two.package_id, sites.id, bare.id)
    page = admin.get("/deploy?" + "&".join(f"package={each}" for each in ids)).text
    listed = re.findall(r'name="activation" value="(\d+)"( checked)?', page)
    assert len(listed) == 4
    assert str(other.id) not in dict(listed)
    assert [number for number, ticked in listed if ticked] == [str(one.id), str(two.id)]


def test_each_person_chooses_the_columns(admin: Browser, console: Console) -> None:
    with console.session() as session:
        make_activation(session, make_package(session, id=900_000_007, name="x", created_by="eve"))
        make_package(session, name="gone", deleted_at=console.clock())
    viewer = console.user("viewer")
    chosen = {"column": ["id", "created_by", "activations", "total", "nonsense"]}
    answer = viewer.post("/packages/columns", {**chosen, "back": "/packages?sort=name"})
    assert answer.location == "/packages?sort=name"
    heads = re.findall(r'<a href="/packages\?sort=(\w+)', viewer.get("/packages").text)
    assert heads == ["name", "id", "created_by", "activations", "total"]
    assert viewer.get("/packages/csv").text.splitlines() == [
        "id,name,created_by,activations,total", "0900000007,x,eve,1,0"
    ]  # fmt: skip
    assert "sort=waiting" in admin.get("/packages").text
    # The deleted ones have another column, and what they do not have stays chosen.
    deleted = {"column": ["deleted", "total"], "deleted": "1", "back": "https://evil.example/"}
    assert viewer.post("/packages/columns", deleted).location == "/packages"
    assert "sort=activations" in viewer.get("/packages").text
    assert "sort=created_by" not in viewer.get("/packages").text
    assert "sort=deleted" in viewer.get("/packages?deleted=1").text
    viewer.post("/packages/columns", {})
    assert "sort=waiting" in viewer.get("/packages").text


def test_the_list_is_filtered_by_what_packages_are(admin: Browser, console: Console) -> None:
    with console.session() as session:
        make_package(session, name="bare", os="windows", action="STORE")
        activation = make_activation(
            session, make_package(session, name="failed", hidden_at=console.clock())
        )
        make_assignment(session, activation=activation, status="ERR_X")
    assert names(admin.get("/packages?os=windows").text) == ["bare"]
    assert names(admin.get("/packages?action=STORE&state=inactive").text) == ["bare"]
    assert names(admin.get("/packages?having=error&state=activated").text) == ["failed"]
    assert names(admin.get("/packages?state=hidden").text) == ["failed"]
    page = admin.get("/packages?os=macos").text
    assert "No package matches" in page
    assert '<option value="macos" selected>' in page
    assert 'value="hidden"' not in console.user("viewer").get("/packages").text
    refused = admin.get("/packages?os=beos")
    assert refused.status_code == 422
    assert "cannot be filtered by os" in refused.text


def test_a_purged_package_leaves_the_list_and_its_results_stay(
    admin: Browser, console: Console
) -> None:
    with console.session() as session:
        gone = make_package(session, name="gone", deleted_at=console.clock())
        kept = make_package(session, name="kept", deleted_at=console.clock())
        there = make_package(session, name="there")
        computer = make_computer(session)
        make_assignment(session, computer, make_activation(session, gone), status="SUCCESS")
        for package in (gone, kept):
            row = DownloadHistory(computer_id=computer.id, package_id=package.id)
            session.add(row)
    assert "Tick at least one" in admin.get(admin.post("/packages/purge").location).text
    assert "Tick at least one" in admin.get(admin.get("/packages/purge").location).text
    # Whom it reaches is said first.
    assert 'action="/packages/purge"' in admin.get("/packages?deleted=1").text
    asked = admin.get(f"/packages/purge?package={gone.id}").text
    assert "Purge 1 deleted package?" in asked
    assert "1 computer has the id in the history" in asked
    assert admin.get(f"/packages/purge?package={there.id}").status_code == 409
    assert names(admin.get("/packages?deleted=1").text) == ["kept", "gone"]
    assert admin.post("/packages/purge", {"package": str(there.id)}).status_code == 409
    answer = admin.post("/packages/purge", {"package": str(gone.id)})
    page = admin.get(answer.location).text
    assert "out of the histories of 1 computer" in page
    assert names(page) == ["kept"]
    assert "SUCCESS" in admin.get(f"/packages/{gone.id}/results").text
    with console.sessions() as session:
        assert session.scalars(select(DownloadHistory.package_id)).all() == [kept.id]
