"""The code for Windows, with the platform faked: paths, process groups, locks, archives."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy_agent.domain.errors import AgentError, LockHeld, UnpackFailed
from tests.support.archives import tar_gz, zip_file
from tests.support.windows import FLAGS, on_windows

# Paths.


def test_the_files_are_below_program_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROGRAMDATA", r"D:\Data")
    config = on_windows("deploy_agent.config", monkeypatch)
    assert (config.SYSTEM_FILE.parts[-2:], config.SYSTEM_STATE.parts[-2:]) == (
        ("Tranche", "agent.toml"),
        ("Tranche", "state"),
    )
    assert config.SYSTEM_FILE.parts[0] == r"D:\Data"
    monkeypatch.delenv("PROGRAMDATA")
    assert on_windows("deploy_agent.config", monkeypatch).SYSTEM_STATE.parts[0] == r"C:\ProgramData"


def test_an_administrators_configuration_is_the_systems(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import ctypes

    class Windll:
        admin = 1

        class shell32:  # noqa: N801 - as Windows calls it
            IsUserAnAdmin = staticmethod(lambda: Windll.admin)

    monkeypatch.setattr(ctypes, "windll", Windll, raising=False)
    monkeypatch.delenv("DEPLOY_AGENT_CONFIG", raising=False)
    config = on_windows("deploy_agent.config", monkeypatch)
    assert config.default_file() == config.SYSTEM_FILE
    Windll.admin = 0
    monkeypatch.setattr("platformdirs.user_config_path", lambda name: tmp_path / name)
    assert config.default_file() == tmp_path / "deploy-agent" / "agent.toml"


@pytest.mark.parametrize("status", [0, 5])
def test_a_new_state_folder_is_kept_from_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int
) -> None:
    owners = on_windows("deploy_agent.machine.owners", monkeypatch)
    asked: list[list[str]] = []

    def run(command: list[str], **_: Any) -> Any:
        asked.append(command)
        return subprocess.CompletedProcess(command, status)

    monkeypatch.setattr(subprocess, "run", run)
    folder = tmp_path / "Tranche" / "state"
    if status:
        with pytest.raises(PermissionError, match="icacls"):
            owners.make_private(folder)
        assert not folder.exists()
        return
    owners.make_private(folder)
    owners.make_private(folder)
    (command,) = asked
    assert command[:4] == ["icacls", str(folder), "/inheritance:r", "/grant:r"]
    assert command[4:] == ["*S-1-5-18:(OI)(CI)F", "*S-1-5-32-544:(OI)(CI)F"]
    assert not owners.is_root()


def test_install_names_the_command_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    service = on_windows("deploy_agent.machine.service", monkeypatch)
    with pytest.raises(AgentError, match=r'schtasks.*"C:\\My Programs\\deploy-agent.exe" run'):
        service.require_systemd([r"C:\My Programs\deploy-agent.exe", "run"])


# Files.


def test_a_file_that_somebody_reads_is_replaced_a_moment_later(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    disk = on_windows("deploy_agent.machine.disk", monkeypatch)
    naps: list[float] = []
    monkeypatch.setattr(disk.time, "sleep", naps.append)
    really, refused = Path.replace, 3

    def replace(self: Path, target: Path) -> Path:
        if len(naps) < refused:
            raise PermissionError(13, "it is being used by another process")
        return really(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    disk.Disk().replace(tmp_path / "record.json", b"new")
    assert (tmp_path / "record.json").read_bytes() == b"new"
    assert len(naps) == refused
    refused = 10**6
    with pytest.raises(PermissionError):
        disk.Disk().replace(tmp_path / "record.json", b"newer")
    assert (tmp_path / "record.json").read_bytes() == b"new"


# Processes.


class Started:
    """Stands for subprocess.Popen and keeps how it was called."""

    refuse: int = 0
    calls: list[tuple[list[str], dict[str, Any]]]

    def __init__(self, command: list[str], **options: Any) -> None:
        Started.calls.append((command, options))
        if options["creationflags"] & Started.refuse:
            raise PermissionError(13, "Access is denied", None, 5)


@pytest.mark.parametrize("refuse", [0, FLAGS["CREATE_BREAKAWAY_FROM_JOB"]])
def test_the_runner_is_tied_to_nothing(monkeypatch: pytest.MonkeyPatch, refuse: int) -> None:
    processes = on_windows("deploy_agent.machine.runner.processes", monkeypatch)
    Started.calls, Started.refuse = [], refuse
    monkeypatch.setattr(subprocess, "Popen", Started)
    processes.spawn_runner(["python", "main", "folder", "7"], {"A": "b"}, 5, 7)
    alone = FLAGS["DETACHED_PROCESS"] | FLAGS["CREATE_NEW_PROCESS_GROUP"]
    free = alone | FLAGS["CREATE_BREAKAWAY_FROM_JOB"]
    flags = [options["creationflags"] for _, options in Started.calls]
    assert flags == ([free, alone] if refuse else [free])
    for command, options in Started.calls:
        assert command == ["python", "main", "folder", "7"]
        assert (options["env"], options["stderr"]) == ({"A": "b"}, 5)
        assert options["stdin"] is subprocess.DEVNULL
        assert options["stdout"] is subprocess.DEVNULL


def test_an_action_heads_a_group_without_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    processes = on_windows("deploy_agent.machine.runner.processes", monkeypatch)
    assert processes.group_options(lambda _: None) == {
        "creationflags": FLAGS["CREATE_NEW_PROCESS_GROUP"] | FLAGS["CREATE_NO_WINDOW"]
    }


@pytest.mark.parametrize(("force", "more"), [(False, []), (True, ["/F"])])
def test_a_timeout_ends_the_whole_tree(
    monkeypatch: pytest.MonkeyPatch, force: bool, more: list[str]
) -> None:
    processes = on_windows("deploy_agent.machine.runner.processes", monkeypatch)
    asked: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: asked.append(command))

    class Process:
        pid = 4711

        def wait(self) -> int:
            return 0

    processes.end_group(Process(), force=force)
    processes.await_end(Process())
    assert asked == [["taskkill", "/T", "/PID", "4711", *more]]


def test_exit_codes_and_environment_are_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    processes = on_windows("deploy_agent.machine.runner.processes", monkeypatch)
    assert [processes.exit_code_of(each) for each in (0, 3010, 0xC0000005)] == [
        0,
        3010,
        0xC0000005,
    ]
    made = processes.environment({"PATH": r"C:\Windows"}, Path("C:/agent"))
    assert made == {"PATH": r"C:\Windows", "INSTALL_PATH": "C:/agent"}


# Locks.


def test_one_runner_at_a_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    lock = on_windows("deploy_agent.machine.runner.lock", monkeypatch)
    assert not lock.is_held(tmp_path)
    held = lock.take(tmp_path)
    assert held is not None
    assert lock.is_held(tmp_path)
    assert lock.take(tmp_path, patience_s=0.01) is None
    os.close(held)
    assert not lock.is_held(tmp_path)


def test_one_agent_at_a_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lock = on_windows("deploy_agent.machine.lock", monkeypatch)
    path = tmp_path / "lock"
    tmp_path.chmod(0o777)  # means nothing there
    with lock.InstanceLock(path):
        assert lock.is_locked(path)
        with pytest.raises(LockHeld), lock.InstanceLock(path):
            pass
    assert not lock.is_locked(path)


# Archives.


@pytest.mark.parametrize("kind", [zip_file, tar_gz])
@pytest.mark.parametrize("name", ["CON", "aux.txt", "a:b", "what?", "ends.", "ends ", "LPT1"])
def test_names_that_are_none_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: Any, name: str
) -> None:
    from deploy_agent.machine import names
    from deploy_agent.machine.unpack import unpack

    archive = kind(tmp_path / "archive", {f"folder/{name}": "x"})
    unpack(archive, tmp_path / "tree")

    class Os:
        name = "nt"

    monkeypatch.setattr(names, "os", Os)
    with pytest.raises(UnpackFailed, match="cannot be a file's name here"):
        unpack(archive, tmp_path / "tree")


def test_store_copies_by_paths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tree/sub").mkdir(parents=True)
    (tmp_path / "tree/sub/file").write_text("new")
    on_windows("deploy_agent.machine.runner.places", monkeypatch)
    copying = on_windows("deploy_agent.machine.runner.copying", monkeypatch)
    (tmp_path / "target/sub").mkdir(parents=True)
    (tmp_path / "target/sub/file").write_text("old")
    for _ in range(2):
        copying.store(tmp_path / "tree", tmp_path / "target", lambda: None)
    assert (tmp_path / "target/sub/file").read_text() == "new"
    assert [each.name for each in (tmp_path / "target/sub").iterdir()] == ["file"]


def test_the_log_file_needs_no_owner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    logfile = on_windows("deploy_agent.machine.logfile", monkeypatch)
    handler = logfile.PrivateLogFile(tmp_path / "log")
    handler.close()
    assert (tmp_path / "log").exists()
