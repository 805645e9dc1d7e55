"""What a contact says and learns: offers against history, inventory, tags, names, OCS's replies."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from deploy_agent.domain.errors import AgentError, HttpStatus, ServerUnreachable, WrongBytes
from deploy_agent.domain.record import PackageRecord
from deploy_agent.domain.state import State
from deploy_agent.machine import identity
from deploy_agent.wire.replies import DownloadSettings
from tests.support.computer import HARDWARE, Computer
from tests.support.simulator import QUICK
from tests.support.vectors import Exchange

ID = "1800000001"
SILENT = ServerUnreachable("connection refused")


@pytest.fixture
def pc(tmp_path: Path) -> Computer:
    computer = Computer(tmp_path)
    computer.server.publish()
    computer.server.assign()
    return computer


def record(pc: Computer) -> PackageRecord:
    found = pc.store.read(ID)
    assert found is not None
    return found


# Offers.


def test_an_offer_is_on_the_disk_before_anything_is_fetched(pc: Computer) -> None:
    pc.server.fail("info", SILENT)
    pc.agent().poll()
    assert record(pc).state is State.OFFERED
    assert record(pc).offer == pc.server.assigned[ID].offer


def test_the_same_package_again_is_already_set_up(pc: Computer) -> None:
    pc.once()
    pc.server.assign()
    pc.once()
    assert pc.server.codes == ["SUCCESS", "ERR_ALREADY_SETUP"]
    assert len(pc.runner.started) == 1
    assert pc.server.reports[1].attempt == pc.server.assigned[ID].offer.attempt


def test_an_ocs_server_hears_todays_word_for_it(pc: Computer) -> None:
    pc.server.ours = False
    pc.server.publish(foreign=True)
    pc.server.assign()
    pc.once()
    pc.clock.advance(days=1)
    pc.server.assign()
    pc.once()
    assert pc.server.codes == ["SUCCESS", "SUCCESS_ALREADY_SETUP"]
    assert [report.attempt for report in pc.server.reports] == [None, None]


def test_force_runs_again(pc: Computer) -> None:
    pc.once()
    pc.server.assign(force=True)
    pc.once()
    assert pc.server.codes == ["SUCCESS", "SUCCESS"]
    assert len(pc.runner.started) == 2


def test_a_failed_package_runs_again_when_it_is_assigned_again(pc: Computer) -> None:
    pc.runner.exit_codes = [3, 0]
    pc.once()
    pc.server.assign()
    pc.once()
    assert pc.server.codes == ["ERR_EXIT_CODE_3", "SUCCESS"]


def test_a_higher_revision_runs_in_spite_of_history(pc: Computer) -> None:
    pc.once()
    pc.server.set_info(replace(pc.server.info(), revision=2))
    pc.server.assign(revision=2)
    pc.once()
    pc.server.assign(revision=1)
    pc.once()
    assert pc.server.codes == ["SUCCESS", "SUCCESS", "ERR_ALREADY_SETUP"]


def test_an_ended_attempt_is_answered_and_never_run_again(pc: Computer) -> None:
    pc.runner.exit_codes = [3]
    pc.once()
    pc.server.assigned[ID].status = "NOTIFIED"  # its database was restored from yesterday
    pc.once()
    assert pc.server.codes == ["ERR_EXIT_CODE_3", "ERR_EXIT_CODE_3"]
    assert len(pc.runner.started) == 1
    assert pc.codes_in_history() == ["ERR_EXIT_CODE_3"]


def test_a_new_attempt_in_mid_download_keeps_the_fragments(pc: Computer) -> None:
    pc.server.fail(f"{ID}-2", SILENT)
    pc.once()
    pc.server.faults.clear()
    pc.clock.advance(days=1)
    pc.server.assign()
    pc.once()
    assert pc.server.codes == ["SUCCESS"]
    assert pc.server.reports[0].attempt == pc.server.assigned[ID].offer.attempt
    assert pc.server.asked()[f"{ID}-1"] == 1


def test_a_new_attempt_starts_the_time_anew(pc: Computer) -> None:
    pc.server.fail("info", SILENT)
    pc.once()
    pc.clock.advance(days=29)
    pc.server.assign()
    pc.once()
    pc.clock.advance(days=29)
    pc.server.faults.clear()
    pc.once()
    assert pc.server.codes == ["SUCCESS"]


def test_a_new_attempt_waits_until_the_old_one_is_reported(pc: Computer) -> None:
    pc.server.report_fault = HttpStatus("503", status=503)
    assert pc.once().exit_status == 1
    old = pc.server.assigned[ID].offer.attempt
    pc.server.assign(force=True)
    pc.once()
    assert len(pc.runner.started) == 1
    pc.server.report_fault = None
    pc.once()
    pc.once()
    new = pc.server.assigned[ID].offer.attempt
    assert [report.attempt for report in pc.server.reports] == [old, new]
    assert len(pc.runner.started) == 2


def test_new_places_and_times_of_a_known_offer_count(pc: Computer) -> None:
    pc.server.fail("info", SILENT)
    pc.once()
    pc.server.offer(info_loc="other.example.org/d", postcmd="REBOOT")
    pc.agent().poll()
    assert record(pc).offer.info_loc == "other.example.org/d"
    assert record(pc).offer.postcmd == "REBOOT"
    assert f"https://other.example.org/d/{ID}/info" in pc.server.requests


def test_an_offer_that_is_not_repeated_goes_on(pc: Computer) -> None:
    pc.server.fail(f"{ID}-2", SILENT)
    pc.once()
    pc.server.faults.clear()
    pc.server.ours = False
    pc.server.assigned.clear()
    pc.once()
    assert pc.server.codes == ["SUCCESS"]


def test_a_withdrawn_package_is_dropped_before_its_action(pc: Computer) -> None:
    pc.server.fail(f"{ID}-2", SILENT)
    pc.once()
    attempt = pc.server.assigned.pop(ID).offer.attempt
    assert attempt is not None
    pc.server.cancels = ((ID, attempt - 1), ("1800000009", attempt))
    pc.once()
    assert pc.files() != set()
    pc.server.cancels = ((ID, attempt),)
    assert pc.once().exit_status == 0
    assert pc.files() == set()
    assert pc.server.codes == []


def test_an_action_that_was_begun_is_not_withdrawn(pc: Computer) -> None:
    pc.runner.running = True
    agent = pc.agent()
    agent.poll()
    agent.step(pc.clock.now() + timedelta(minutes=1))
    attempt = pc.server.assigned[ID].offer.attempt
    assert attempt is not None
    pc.server.cancels = ((ID, attempt),)
    pc.runner.running = False
    pc.once()
    assert pc.server.codes == ["SUCCESS"]


# Switched off.


@pytest.mark.parametrize("settings", [None, replace(QUICK, on=False)])
def test_switched_off_keeps_packages_and_moves_nothing(
    pc: Computer, settings: DownloadSettings | None
) -> None:
    pc.server.fail(f"{ID}-2", SILENT)
    pc.once()
    asked = len(pc.server.requests)
    pc.server.faults.clear()
    pc.server.settings = settings
    left = pc.once()
    assert left.exit_status == 3
    assert left.waiting == ((ID, "deployment is switched off for this computer"),)
    assert len(pc.server.requests) == asked
    pc.server.settings = QUICK
    pc.once()
    assert pc.server.codes == ["SUCCESS"]


# Inventory, tag, name.


def test_the_inventory_is_sent_when_it_is_asked_for(pc: Computer) -> None:
    pc.once()
    assert pc.server.inventories == []
    pc.server.wants_inventory = True
    pc.once()
    (inventory,) = pc.server.inventories
    assert inventory.sections == (HARDWARE,)
    assert inventory.history == (ID,)
    assert (inventory.tag, inventory.old_device_id) == (None, None)


def test_the_servers_tag_wins_until_the_configuration_changes(pc: Computer) -> None:
    pc.server.wants_inventory = True
    pc.tag = "paris"
    pc.once()
    pc.server.account = {"TAG": "lyon"}
    pc.once()
    pc.server.account = None
    pc.once()
    pc.tag = "nice"
    pc.once()
    tags = [inventory.tag for inventory in pc.server.inventories]
    assert tags == ["paris", "paris", "lyon", "nice"]


def test_an_inventory_that_is_refused_stops_no_package(
    pc: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pc.server.wants_inventory = True
    post = pc.server.post

    def refuse(message: bytes) -> bytes:
        if b"INVENTORY" in message:
            raise HttpStatus("503", status=503)
        return post(message)

    monkeypatch.setattr(pc.server, "post", refuse)
    assert pc.once().exit_status == 0
    assert pc.server.codes == ["SUCCESS"]


def test_another_name_is_told_before_any_result(
    pc: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["old"]
    load = identity.IdentityFile.load
    monkeypatch.setattr(
        identity.IdentityFile, "load", lambda self, now: load(self, now, lambda: names[0])
    )
    pc.server.report_fault = SILENT
    pc.once()
    pc.server.report_fault = None
    old = pc.agent().contact.identity.device_id
    names[0] = "new"
    pc.once()
    (inventory,) = pc.server.inventories
    assert inventory.old_device_id == old
    assert inventory.device_id.startswith("new-")
    assert [report.device_id for report in pc.server.reports] == [inventory.device_id]
    pc.once()
    assert len(pc.server.inventories) == 1


def test_what_the_server_said_is_remembered(pc: Computer) -> None:
    pc.once()
    memory = pc.agent().contact.memory
    assert (memory.ours, memory.contact_minutes, memory.prolog_freq_h) == (True, 60, 24)
    assert memory.settings == QUICK
    assert memory.contacted_at == pc.clock.now()


@pytest.mark.parametrize("data", [b"", b"{}", b'{"schema": 9}', b"\xff"])
def test_a_memory_that_cannot_be_read_is_forgotten(pc: Computer, data: bytes) -> None:
    pc.once()
    (pc.folder / "server.json").write_bytes(data)
    assert pc.agent().contact.memory.contacted_at is None
    pc.once()
    assert json.loads((pc.folder / "server.json").read_bytes())["schema"] == 1


# Servers that do not answer, or not with sense.


@pytest.mark.parametrize("error", [SILENT, HttpStatus("500", status=500), WrongBytes("no XML")])
def test_without_an_answer_there_is_no_contact(pc: Computer, error: Exception) -> None:
    pc.server.reachable = error
    with pytest.raises(type(error)):
        pc.once()
    assert pc.files() == set()


@pytest.mark.parametrize("reply", [b"", b"<html/>", b"<REPLY", b"\x00"])
def test_an_answer_without_sense_is_a_definite_error(pc: Computer, reply: bytes) -> None:
    pc.server.prolog_reply = reply
    with pytest.raises(WrongBytes, match="makes no sense"):
        pc.once()


def test_an_offer_without_sense_is_refused_alone(
    pc: Computer, caplog: pytest.LogCaptureFixture
) -> None:
    pc.server.prolog_reply = b"""<REPLY><RESPONSE>STOP</RESPONSE><OPTION><NAME>DOWNLOAD</NAME>
        <PARAM TYPE="CONF" ON="1" FRAG_LATENCY="0" CYCLE_LATENCY="0"/>
        <PARAM TYPE="PACK" ID="../../etc" INFO_LOC="info.example.org/download"/>
        <PARAM TYPE="PACK" ID="1800000001" INFO_LOC="info.example.org/download"
               PACK_LOC="mirror.example.org/download"/></OPTION></REPLY>"""
    pc.once()
    assert pc.server.codes == ["SUCCESS"]
    assert "makes no sense" in caplog.text


# Replies that a real OCS server sent.


@pytest.mark.parametrize(
    ("name", "offered", "on"),
    [
        ("agent-01-prolog-new-device", [], True),
        ("agent-03-prolog-one-package", ["1800000001"], True),
        ("agent-24-prolog-already-in-history", [], True),
        ("agent-26-prolog-forced-package", ["1800000009"], True),
        ("probe-prolog-3-packages", ["1800000001", "1800000002", "1800000003"], True),
        ("probe-prolog-download-off", [], False),
        ("probe-prolog-frequency-minus1", [], False),
        ("probe-prolog-known", [], True),
        ("probe-prolog-windows-agent", [], True),
    ],
)
def test_recorded_replies(tmp_path: Path, name: str, offered: list[str], on: bool) -> None:
    pc = Computer(tmp_path)
    pc.server.prolog_reply = Exchange(name).response.xml
    agent = pc.agent()
    try:
        agent.poll()
    except AgentError as error:  # pragma: no cover - the message is what one wants to see
        pytest.fail(str(error))
    memory = agent.contact.memory
    assert not memory.ours
    assert memory.settings is not None
    assert memory.settings.on is on
    packages = {package.id: package.record.offer for package in agent.packages}
    assert sorted(packages) == offered
    assert all(offer.attempt is None for offer in packages.values())
    assert len(pc.server.inventories) == (b"SEND" in pc.server.prolog_reply)
