"""What people ask about an agent, answered from its state without touching it.

Needs no lock and works beside a daemon: every file of the state is replaced as a whole.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from deploy_agent.config import AgentConfig
from deploy_agent.domain.errors import AgentError, HttpRefusal
from deploy_agent.domain.record import PackageRecord, UnreadableRecord, format_time
from deploy_agent.domain.standing import Surroundings, hold_of, standing
from deploy_agent.domain.state import State
from deploy_agent.machine.clock import SystemClock, local_to_utc
from deploy_agent.machine.identity import host_name
from deploy_agent.machine.lock import is_locked
from deploy_agent.machine.memory import Memory
from deploy_agent.services.package import Package
from deploy_agent.services.setup import (
    StateFiles,
    collect_inventory,
    make_transport,
    somebody_is_logged_in,
)
from deploy_agent.wire.deviceid import make_device_id
from deploy_agent.wire.events import RETRY_PATH
from deploy_agent.wire.messages import Inventory

SAID_MAX = 500  # characters of what a server says


def status_of(config: AgentConfig) -> dict[str, Any]:
    """Return where the agent and every package stand."""
    files = StateFiles(config.state)
    identity = files.identity().peek()
    memory = files.memory().load()
    contacted = memory.contacted_at
    return {
        "device_id": identity.device_id if identity else None,
        "server": config.server,
        "last_contact": format_time(contacted) if contacted else None,
        "deployment": _deployment(memory),
        "agent": "working" if is_locked(files.lock_file) else "not running",
        "packages": list(_packages(files, memory)),
    }


def history_of(config: AgentConfig) -> list[dict[str, Any]]:
    """Return what ended on this computer, oldest first."""
    return [
        {
            "package": entry["package"],
            "attempt": entry.get("attempt"),
            "revision": entry.get("revision"),
            "code": entry["result"].get("code"),
            "since": entry.get("since"),
            "ended_at": entry["result"]["ended_at"],
            "exit_code": entry["result"].get("exit_code"),
            "detail": entry["result"].get("detail", ""),
            "answers": entry.get("answers", []),
            "post": entry.get("post"),
            "output": entry.get("output", ""),
            "truncated": entry.get("truncated", False),
        }
        for entry in StateFiles(config.state).history().read_all()
    ]


def inventory_of(config: AgentConfig) -> Inventory:
    """Return the inventory as the agent would send it."""
    files = StateFiles(config.state)
    identity = files.identity().peek()
    now = SystemClock().now().astimezone()
    return Inventory(
        device_id=identity.device_id if identity else make_device_id(host_name(), now),
        sections=tuple(collect_inventory()),
        tag=files.memory().load().tag(config.tag),
        history=files.history().succeeded(),
        old_device_id=identity.old_device_id if identity else None,
    )


def ask_for_retry(config: AgentConfig, package_id: str) -> int:
    """Ask our server to assign a package anew that failed here; return the new attempt.

    Raises:
        TransientError, DefiniteError: the server cannot be reached, or says no.
    """
    files = StateFiles(config.state)
    identity = files.identity().peek()
    if identity is None:
        raise AgentError("this agent has never contacted its server", "Run: deploy-agent once")
    if urlsplit(config.server).scheme != "https":
        raise AgentError(
            "a retry is asked for over HTTPS only, and the server's URL is http://",
            "Ask an administrator to assign the package again",
        )
    memory = files.memory().load().of(config.server)
    status, answer = 404, None
    if memory.ours or memory.contacted_at is None:
        transport = make_transport(config, SystemClock())
        value = {"device_id": identity.device_id, "package": package_id}
        status, answer = transport.post_json(RETRY_PATH, value)
    if status == 200 and isinstance(answer, dict) and isinstance(answer.get("attempt"), int):
        return int(answer["attempt"])
    raise _no_retry(package_id, status, answer)


def _deployment(memory: Memory) -> str:
    if memory.settings is None:
        return "unknown before the first contact"
    return "on" if memory.settings.on else "switched off by the server"


def _packages(files: StateFiles, memory: Memory) -> Iterator[dict[str, Any]]:
    store = files.packages()
    around = Surroundings(
        now=SystemClock().now(),
        settings=memory.settings,
        somebody_there=somebody_is_logged_in,
        to_utc=local_to_utc,
        hold=lambda: hold_of(each for each in found.values() if isinstance(each, PackageRecord)),
    )
    found: dict[str, PackageRecord | UnreadableRecord | None] = {}
    for package_id in store.ids():
        try:
            found[package_id] = store.read(package_id)
        except UnreadableRecord as error:
            found[package_id] = error
    for package_id, record in found.items():
        if record is None:
            continue
        if isinstance(record, UnreadableRecord):
            yield {"package": package_id, "state": "UNREADABLE", "why": str(record)}
            continue
        package = Package(store, record)
        info = package.info
        missing = package.missing if record.state is State.DOWNLOADING else 0
        stands = standing(record, info, missing, around)
        yield {
            "package": package_id,
            "state": record.state.value,
            "why": stands.why,
            "until": None if stands.until is None else format_time(stands.until),
            "since": format_time(record.since),
            "attempt": record.offer.attempt,
            "priority": info.priority if info else None,
            "fragments": info.fragments if info else None,
            "missing": missing,
            "result": record.result.code if record.result else None,
        }


def _no_retry(package_id: str, status: int, answer: object) -> AgentError:
    """Return why the server gives no other attempt, in its own words where it has some."""
    said = answer if isinstance(answer, dict) else {}
    if isinstance(said.get("message"), str):
        hint = str(said.get("hint") or "")
        return HttpRefusal(said["message"][:SAID_MAX], status=status, hint=hint[:SAID_MAX])
    if status == 404 and answer is None:
        return HttpRefusal(
            "this server cannot be asked for another try",
            status=status,
            hint="It takes an administrator: assign the package again",
        )
    reasons = {
        404: f"package {package_id} is not assigned to this computer",
        409: f"package {package_id} did not end in an error",
    }
    reason = reasons.get(status, f"the server refused with status {status}")
    return HttpRefusal(reason, status=status)
