"""The device id: made once, kept, and made anew only when the computer gets another name.

Shape of identity.json: {"schema": 1, "device_id": "pc7-2026-11-21-10-00-00", "name": "pc7",
"old_device_id": null}

The old id is kept until the server took an inventory that named it, so that the computer's
assignments move to the new one however often the agent dies in between.
"""

import logging
import re
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from deploy_agent.domain.errors import StoreError
from deploy_agent.machine.disk import Disk, read_json, write_json, writing_state
from deploy_agent.wire.deviceid import check_device_id, make_device_id
from deploy_agent.wire.errors import FieldError

SCHEMA = 1
# What a computer is called before it knows its name; never a reason for a new id.
_NAMELESS = re.compile(r"(localhost.*|\(none\)|)\Z", re.IGNORECASE)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this computer is to the server.

    Attributes:
        device_id: OCS's name of it.
        name: the host name that the id was made from.
        old_device_id: the id that this one replaces, until the server knows.
    """

    device_id: str
    name: str
    old_device_id: str | None = None


def host_name() -> str:
    """Return the computer's name, without domain."""
    return socket.gethostname().split(".")[0]


class IdentityFile:
    """Where the identity is kept."""

    def __init__(self, path: Path, disk: Disk | None = None) -> None:
        self._path = path
        self._disk = disk or Disk()

    def peek(self) -> Identity | None:
        """Return the identity as it is saved; None where there is none or it cannot be read."""
        try:
            data = read_json(self._path)
            if data is None:
                return None
            old = data.get("old_device_id")
            return Identity(
                device_id=check_device_id(data["device_id"]),
                name=str(data["name"]),
                old_device_id=None if old is None else check_device_id(old),
            )
        except (ValueError, KeyError, TypeError, FieldError) as error:
            log.warning("the identity in '%s' cannot be read: %s", self._path, error)
            return None

    def load(self, local_now: datetime, name: Callable[[], str] = host_name) -> Identity:
        """Return the identity, made or made anew where it has to be, and saved.

        Args:
            local_now: the local time, part of a new id.
            name: tells the computer's name.

        Raises:
            StoreError: it cannot be saved.
        """
        saved = self.peek()
        current = name()
        if saved is None:
            self._keep_unreadable()
            made = Identity(make_device_id(current or "computer", local_now), current)
            log.info("this computer is %s from now on", made.device_id)
            return self._save(made)
        if _NAMELESS.match(current) or current.lower() == saved.name.lower():
            return saved
        renamed = Identity(
            device_id=make_device_id(current, local_now),
            name=current,
            # While the server does not know the last id, it knows the one before.
            old_device_id=saved.old_device_id or saved.device_id,
        )
        log.info(
            "the computer's name changed from %s to %s; its device id is %s now",
            *(saved.name, current, renamed.device_id),
        )
        return self._save(renamed)

    def forget_old(self, identity: Identity) -> Identity:
        """Return and save `identity` without its old id, which the server knows now."""
        return self._save(replace(identity, old_device_id=None))

    def _save(self, identity: Identity) -> Identity:
        with writing_state(self._path):
            self._disk.make_folder(self._path.parent)
        write_json(self._disk, self._path, {"schema": SCHEMA, **asdict(identity)})
        return identity

    def _keep_unreadable(self) -> None:
        """Put a damaged file aside: its id may be needed to find the computer at the server."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(
                f"'{self._path}' cannot be read: {error.strerror}",
                "Look at the disk, and at who owns the file; it holds the computer's device id",
            ) from error
        with writing_state(self._path):
            self._disk.replace(self._path.with_name("identity.unreadable"), data)
