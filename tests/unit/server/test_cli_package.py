"""`deploy-server package`: what people and programs read."""

import hashlib
import io
import json
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest

from deploy_agent.wire.info import parse_info
from deploy_server.cli.common import open_session
from deploy_server.services.activation import Check
from deploy_server.storage.models import Package
from tests.support.archive_bytes import tar_gz, zip_
from tests.support.cli import Cli
from tests.support.factories import make_activation, make_assignment, make_computer

ARCHIVE = tar_gz({"install.sh": b"#!/bin/sh\n" * 500, "my-tool.sh": b"x"})
LAUNCH = ["Tool", "--os", "linux", "--action", "launch", "--command", "install.sh"]
COMMAND = ["Tool", "--os", "linux", "--action", "execute", "--command", "true"]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    cli = Cli(tmp_path / "data")
    cli.ok("init", "--host", "deploy.example", "--password-file", "-", stdin="correct horse")
    return cli


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "tool.tar.gz"
    path.write_bytes(ARCHIVE)
    return path


def build(cli: Cli, *arguments: str | Path) -> str:
    return cli.ok("package", "build", *arguments).strip()


def shown(cli: Cli, package_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cli.ok("package", "show", package_id, "--json"))
    return found


def test_build_prints_the_id_alone(cli: Cli, archive: Path) -> None:
    outcome = cli("package", "build", *LAUNCH, "--file", archive)
    assert outcome.status == 0
    package_id = outcome.out.strip()
    assert outcome.out == f"{package_id}\n"
    assert len(package_id) == 10
    assert f"{len(ARCHIVE)} bytes in 1 fragment\n" in outcome.err
    assert (cli.data / "download" / package_id / f"{package_id}-1").read_bytes() == ARCHIVE


def test_build_as_json(cli: Cli, archive: Path) -> None:
    done = json.loads(cli.ok("package", "build", *LAUNCH, "--file", archive, "--json"))
    assert done["id"] == shown(cli, done["id"])["id"]
    assert done["file_name"] == "tool.tar.gz"


def test_every_option_arrives(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zip_({"setup.exe": b"MZ" * 700}))
    package_id = build(
        cli, "Größe", "--os", "windows", "--action", "LAUNCH", "--file", tmp_path / "a.zip",
        "--command", "setup.exe /S", "--priority", "0", "--fragment-size", "10B",
        "--protocol", "https", "--digest", "sha256", "--digest-encoding", "base64",
        "--description", "d", "--notify-text", "<b>hi</b>", "--notify-countdown", "0",
        "--can-abort", "--can-delay", "--done-text", "bye", "--success-code", "1",
        "--success-code", "2", "--reboot-code", "3010", "--retry-code", "1618",
        "--execution-timeout", "0",
    )  # fmt: skip
    info = parse_info((cli.data / "download" / package_id / "info").read_bytes())
    assert (info.priority, info.protocol, info.target) == (0, "HTTPS", "setup.exe /S")
    assert info.notification is not None
    assert info.notification.text == "<b>hi</b>"
    assert (info.notification.countdown_s, info.notification.can_abort) == (0, True)
    assert (info.done_text, info.success_codes, info.reboot_codes) == ("bye", (1, 2), (3010,))
    assert (info.retry_codes, info.execution_timeout_min) == ((1618,), 0)
    found = shown(cli, package_id)
    assert (found["digest_algorithm"], found["digest_encoding"]) == ("SHA256", "Base64")
    assert (found["fragment_size"], found["description"], found["name"]) == (10, "d", "Größe")


def test_store_wrap_and_standard_input(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"hello")
    store = ["Notes", "--os", "any", "--action", "store", "--path", "/opt/notes"]
    assert "--wrap" in cli.refused("package", "build", *store, "--file", tmp_path / "notes.txt")
    build(cli, *store, "--file", tmp_path / "notes.txt", "--wrap", "--fragments", "2")


def test_several_mistakes_are_named_by_their_options(cli: Cli) -> None:
    message = cli.refused(
        "package", "build", " ", "--os", "beos", "--action", "launch", "--priority", "11",
        "--fragment-size", "lots", "--success-code", "x",
    )  # fmt: skip
    for option in ("NAME", "--os", "--command", "--priority", "--fragment-size", "--success-code"):
        assert f"{option}: " in message
    assert "--priority: the priority is 11. Give a number from 0 to 10" in message
    assert cli.ok("package", "list", "--json").strip() == "[]"


def test_a_wrong_file_is_named(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.rar").write_bytes(b"Rar!\x1a\x07\x00")
    message = cli.refused("package", "build", *LAUNCH, "--file", tmp_path / "a.rar")
    assert message.startswith("--file a.rar: the file is a RAR archive")
    assert "absent" in cli.refused("package", "build", *LAUNCH, "--file", tmp_path / "absent")
    assert cli("package", "build", *LAUNCH, "--path", "/x").status == 2
    assert cli("package", "build", "Tool", "--os", "linux").status == 2


def test_warnings_come_after_a_build(cli: Cli, archive: Path) -> None:
    launch = [*LAUNCH[:-1], "my-tool.sh"]
    outcome = cli("package", "build", *launch, "--file", archive, "--digest", "sha1")
    assert outcome.status == 0
    assert "Warning: OCS's Unix agent cuts the name" in outcome.err
    assert "Debian 12" in outcome.err


def test_the_period_length_of_the_settings_counts(cli: Cli) -> None:
    cli.ok("setting", "set", "DOWNLOAD_PERIOD_LENGTH", "3")
    assert "above the period length of 3" in cli("package", "build", *COMMAND).err


def test_the_setting_cuts_where_nobody_says_how(cli: Cli, tmp_path: Path) -> None:
    archive = tmp_path / "big.tar.gz"
    archive.write_bytes(tar_gz({"install.sh": random.Random(1).randbytes(7 * 1024**2 // 2)}))
    cli.ok("setting", "set", "DOWNLOAD_ACTIVATE_FRAG", "on")
    cli.ok("setting", "set", "DOWNLOAD_RATIO_FRAG", "2")
    assert shown(cli, build(cli, *LAUNCH, "--file", archive))["fragments"] == 2
    said = build(cli, "Other", *LAUNCH[1:], "--file", archive, "--fragment-size", "1MiB")
    assert shown(cli, said)["fragments"] == 4


def test_the_protocol_that_is_usual_here(cli: Cli, archive: Path) -> None:
    cli.ok("setting", "set", "DOWNLOAD_PROTOCOL", "https")
    assert shown(cli, build(cli, *LAUNCH, "--file", archive))["protocol"] == "HTTPS"
    said = build(cli, "Other", *LAUNCH[1:], "--file", archive, "--protocol", "http")
    assert shown(cli, said)["protocol"] == "HTTP"


def test_list_and_show(cli: Cli, archive: Path) -> None:
    assert "Build one" in cli("package", "list").err
    first = build(cli, *COMMAND)
    second = build(cli, "Other", *LAUNCH[1:], "--file", archive)
    listed = json.loads(cli.ok("package", "list", "--json"))
    assert [each["id"] for each in listed] == [second, first]
    assert set(listed[0]) == set(shown(cli, second))
    assert listed[0]["activations"] == []
    assert (listed[0]["waiting"], listed[0]["error"]) == (0, 0)
    assert second in cli.ok("package", "list")
    assert "name:  Other" in cli.ok("package", "show", second)
    assert "1700000000" in cli.refused("package", "show", "1700000000")


def test_edit_keeps_what_is_not_given(cli: Cli, archive: Path, tmp_path: Path) -> None:
    options = ["--notify-text", "hi", "--notify-countdown", "5", "--retry-code", "7"]
    package_id = build(cli, *LAUNCH, "--file", archive, *options)
    assert cli.ok("package", "edit", package_id, "--priority", "2") == f"{package_id}\n"
    found = shown(cli, package_id)
    assert (found["priority"], found["revision"], found["name"]) == (2, 2, "Tool")
    assert found["options"] == {"notify_text": "hi", "notify_countdown": 5, "retry_codes": [7]}
    assert found["digest"] == hashlib.md5(ARCHIVE).hexdigest()

    new = tmp_path / "new.tar.gz"
    new.write_bytes(tar_gz({"install.sh": b"new"}))
    cli.ok("package", "edit", package_id, "--file", new, "--fragments", "2", "--notify-text", "")
    found = shown(cli, package_id)
    assert (found["revision"], found["fragments"], found["file_name"]) == (3, 2, "new.tar.gz")
    assert found["options"] == {"retry_codes": [7]}
    assert "--command" in cli.refused("package", "edit", package_id, "--command", "other.sh")


def test_edit_without_a_change_is_no_revision(cli: Cli, archive: Path) -> None:
    package_id = build(cli, *LAUNCH, "--file", archive)
    done = cli("package", "edit", package_id)
    assert (done.status, "Say what to change" in done.err) == (2, True)
    assert shown(cli, package_id)["revision"] == 1


def test_a_folder_is_no_file(cli: Cli, tmp_path: Path) -> None:
    assert "Name a file, not a folder" in cli.refused("package", "lint", tmp_path)


def test_edit_says_who_holds_the_old_one(cli: Cli, archive: Path) -> None:
    package_id = build(cli, *LAUNCH, "--file", archive)
    with open_session(cli.data) as session, session.begin():
        package = session.get_one(Package, int(package_id))
        activation = make_activation(session, package)
        make_assignment(session, make_computer(session), activation, status="NOTIFIED")
    outcome = cli("package", "edit", package_id, "--file", archive)
    assert "1 computer was told of the package before" in outcome.err
    assert "ERR_BAD_DIGEST" in outcome.err


def test_a_damaged_export(cli: Cli, archive: Path, tmp_path: Path) -> None:
    package_id = build(cli, *LAUNCH, "--file", archive)
    out = tmp_path / "out.zip"
    cli.ok("package", "export", package_id, "-o", out)
    data = bytearray(out.read_bytes())
    at = data.index(ARCHIVE[60:100])
    data[at] ^= 1
    out.write_bytes(data)
    assert "the zip is damaged" in cli.refused("package", "lint", out)


def test_delete(cli: Cli) -> None:
    ids = [build(cli, f"p{n}", *COMMAND[1:]) for n in range(3)]
    assert "9999999999" in cli.refused("package", "delete", ids[0], "9999999999")
    outcome = cli("package", "delete", *ids[:2])
    assert "Deleted 2 packages" in outcome.err
    assert [each["id"] for each in json.loads(cli.ok("package", "list", "--json"))] == [ids[2]]
    listed = json.loads(cli.ok("package", "list", "--deleted", "--json"))
    assert {each["id"] for each in listed} == set(ids[:2])
    assert not (cli.data / "download" / ids[0]).exists()


def test_hidden_ones(cli: Cli) -> None:
    quiet, loud = build(cli, *COMMAND, "--hidden"), build(cli, "Loud", *COMMAND[1:])
    assert shown(cli, quiet)["hidden_at"]
    assert shown(cli, loud)["hidden_at"] is None
    assert "Hid 1 package" in cli("package", "hide", quiet, loud).err
    assert "Showed 2 packages" in cli("package", "hide", "--undo", quiet, loud).err
    assert shown(cli, quiet)["hidden_at"] is None
    assert "Look at" in cli.refused("package", "hide", "7")


def test_export_and_lint(cli: Cli, archive: Path, tmp_path: Path) -> None:
    package_id = build(cli, *LAUNCH, "--file", archive, "--fragments", "3")
    out = tmp_path / "out.zip"
    cli.ok("package", "export", package_id, "-o", out)
    assert "nothing is wrong" in cli("package", "lint", out).err
    with zipfile.ZipFile(out) as exported:
        files = {name: exported.read(name) for name in exported.namelist()}
    assert f"{package_id}/info" in files
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out.zip", "tool.tar.gz"]

    name, info = f"{package_id}/{package_id}-2", f"{package_id}/info"

    def wrong(attribute: str) -> bytes:
        """The info file with another first digit in a digest."""
        head, tail = files[info].split(f' {attribute}="'.encode())
        return head + f' {attribute}="'.encode() + (b"0" if tail[:1] != b"0" else b"1") + tail[1:]

    for change, says in [
        ({name: files[name][:-1] + b"\0"}, f"{package_id}-2 is damaged"),
        ({f"{package_id}/secret": b"x"}, "secret does not belong there"),
        ({f"{package_id}/info": b"<"}, "info file cannot be read"),
        ({f"{package_id}/fragments.sha256": b""}, "not the one of the info file"),
        ({f"{package_id}/info": wrong("X_SHA256")}, "do not have the X_SHA256"),
        ({f"{package_id}/info": wrong("DIGEST")}, "do not have the DIGEST"),
        ({f"{package_id}/info": files[info].replace(b' ID="1', b' ID="2')}, "info file is of 2"),
        ({f"{package_id}/info": files[info].replace(b'FRAGS="3', b'FRAGS="4')}, "-4 is missing"),
    ]:
        changed = io.BytesIO()
        with zipfile.ZipFile(changed, "w") as made:
            for each, data in {**files, **change}.items():
                made.writestr(each, data)
        out.write_bytes(changed.getvalue())
        outcome = cli("package", "lint", out)
        assert outcome.status == 1
        assert says in outcome.err


def test_an_export_that_fails_leaves_nothing(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "out.zip"
    assert "1700000000" in cli.refused("package", "export", "1700000000", "-o", out)
    package_id = build(cli, *COMMAND)
    cli.refused("package", "export", package_id, "-o", tmp_path / "absent" / "out.zip")
    assert list(tmp_path.iterdir()) == [cli.data]


def test_lint_of_archives(cli: Cli, archive: Path, tmp_path: Path) -> None:
    assert cli("package", "lint", archive).status == 0
    bad = tmp_path / "bad.zip"
    for data, says in [
        (zip_({"../x": b""}), "outside"),
        (zip_({"x": b"1" * 99})[:-30], "end of the zip"),
        (b"hello", "no tar.gz archive"),
        (b"", "empty"),
    ]:
        bad.write_bytes(data)
        assert says in cli.refused("package", "lint", bad)


def test_activations(cli: Cli, archive: Path) -> None:
    package_id = build(cli, *LAUNCH, "--file", archive)
    assert cli.ok("package", "activate", package_id, "--no-check") == "A1\n"
    made = json.loads(
        cli.ok(
            "package", "activate", package_id, "--no-check", "--json",
            "--fragment-url", "http://site.example/download/",
        )
    )  # fmt: skip
    assert made["id"] == "A2"
    assert made["info_url"] == "deploy.example:8443/download"
    assert made["fragment_url"] == "site.example/download"
    listed = json.loads(cli.ok("package", "activations", package_id, "--json"))
    assert [each["id"] for each in listed] == ["A2", "A1"]
    assert [each["id"] for each in shown(cli, package_id)["activations"]] == ["A2", "A1"]
    assert "A1" in cli.refused("package", "activate", package_id, "--no-check")
    assert "A2" in cli.refused("package", "deactivate", package_id)
    assert cli("package", "deactivate", "A1").err == (
        "Ended 1 activation; 0 computers are no longer told, 0 were told already\n"
    )
    cli.ok("package", "activate", package_id, "--no-check")
    assert "Ended 2 activations" in cli("package", "deactivate", "A2", "A3").err
    assert json.loads(cli.ok("package", "activations", "--json")) == []
    assert "A2" in cli.refused("package", "deactivate", "A2")


def test_the_setting_activates_what_agents_would_find(
    cli: Cli, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.ok("setting", "set", "DOWNLOAD_AUTO_ACTIVATE", "on")
    place = "deploy_server.services.activation.check_locations"
    monkeypatch.setattr(place, lambda *_: [Check("https://x/info", False, "Nobody answers.")])
    refused = cli("package", "build", *LAUNCH, "--file", archive)
    package_id = refused.out.strip()
    assert (refused.status, len(package_id)) == (0, 10)
    assert "did not activate it: https://x/info: Nobody answers" in refused.err
    assert f"deploy-server package activate {package_id}" in refused.err
    monkeypatch.setattr(place, lambda *_: [Check("https://x/info", True, "It is there.")])
    made = json.loads(cli.ok("package", "build", "Two", *COMMAND[1:], "--json"))
    assert [each["id"] for each in made["activations"]] == ["A1"]
    assert shown(cli, package_id)["activations"] == []


def test_a_place_on_the_agents_own_machine_is_a_warning(cli: Cli) -> None:
    package_id = build(cli, *COMMAND)
    outcome = cli(
        *("package", "activate", package_id, "--no-check", "--info-url", "localhost:8443/download")
    )
    assert (outcome.status, outcome.out) == (0, "A1\n")
    assert "would look on themselves" in outcome.err


def test_a_check_that_fails_is_an_error(cli: Cli) -> None:
    package_id = build(cli, *COMMAND)
    message = cli.refused("package", "activate", package_id)
    assert f"https://deploy.example:8443/download/{package_id}/info: " in message
    assert "--no-check" in message
    wrong = cli.refused("package", "activate", package_id, "--info-url", "http://a.example/x")
    assert wrong.startswith("--info-url: info files are never fetched by http")
