"""What the server said last: how to pace, when to come back, which TAG this computer has.

Shape of server.json: {"schema": 1, "ours": true, "settings": {"on": true, ...},
"contact_minutes": 60, "prolog_freq_h": 24, "contacted_at": "...Z", "inventoried_at": null,
"account": {"TAG": "paris"}, "configured_tag": "paris", "server": "https://..."}
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from deploy_agent.domain.record import format_time, parse_time
from deploy_agent.machine.disk import Disk, read_json, write_json, writing_state
from deploy_agent.wire.replies import DownloadSettings

SCHEMA = 1

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of the server.

    Attributes:
        ours: it is a Tranche server.
        settings: CONF; None before the first contact, and after a reply without one.
        contact_minutes: from our server, None from others.
        prolog_freq_h: hours between contacts, from any server.
        inventory_on_startup: the server wants a contact when the agent starts.
        contacted_at: the last contact that succeeded.
        inventoried_at: the last inventory that the server took.
        account: what the server told us to keep, TAG above all.
        configured_tag: the configuration's tag when `account` was told.
        server: the URL of whoever said all this; '' where an older agent wrote it down.
    """

    ours: bool = False
    settings: DownloadSettings | None = None
    contact_minutes: int | None = None
    prolog_freq_h: int | None = None
    inventory_on_startup: bool = True
    contacted_at: datetime | None = None
    inventoried_at: datetime | None = None
    account: Mapping[str, str] = field(default_factory=dict)
    configured_tag: str | None = None
    server: str = ""

    def of(self, server: str) -> "Memory":
        """Return what is remembered, as far as it is good for the server at this URL.

        Another server that the computer was given is not ours before it has said so.
        """
        same = self.server in ("", server)
        return self if same else replace(self, ours=False)

    def tag(self, configured: str | None) -> str | None:
        """Return the TAG to send: the server's, unless the configuration has changed since."""
        if configured is not None and configured != self.configured_tag:
            return configured
        return self.account.get("TAG", configured)


class MemoryFile:
    """Where it is kept. Everything in it comes back with the next contact."""

    def __init__(self, path: Path, disk: Disk | None = None) -> None:
        self._path = path
        self._disk = disk or Disk()

    def load(self) -> Memory:
        """Return what is remembered; nothing where there is no file or it cannot be read."""
        try:
            data = read_json(self._path)
            return Memory() if data is None else _memory(data)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("'%s' cannot be read and is forgotten: %s", self._path, error)
            return Memory()

    def save(self, memory: Memory) -> None:
        """Remember `memory`.

        Raises:
            StoreError: it cannot be written.
        """
        value = asdict(memory)
        for name in ("contacted_at", "inventoried_at"):
            value[name] = None if value[name] is None else format_time(value[name])
        with writing_state(self._path):
            self._disk.make_folder(self._path.parent)
        write_json(self._disk, self._path, {"schema": SCHEMA, **value})


def _memory(data: dict[str, Any]) -> Memory:
    if data.pop("schema") != SCHEMA:
        raise ValueError("it is of another version")
    settings = data["settings"]
    return Memory(
        **{
            **data,
            "settings": None if settings is None else DownloadSettings(**settings),
            "contacted_at": _time(data["contacted_at"]),
            "inventoried_at": _time(data["inventoried_at"]),
            "account": {str(key): str(value) for key, value in data["account"].items()},
        }
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else parse_time(text)
