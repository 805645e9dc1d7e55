"""What ended on this computer: one file for each (package, attempt), written once.

Shape: history/1800000001_1795255200_2_SUCCESS.json. Package, attempt (or the moment of the offer),
revision and code stand in the name, so that looking something up opens no file; the file has the
rest, with the bounded output of the action.
"""

import logging
import re
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from deploy_agent.domain.policy import Past
from deploy_agent.domain.record import PackageRecord, Result, format_time, parse_time
from deploy_agent.machine.disk import Disk, names_in, read_json, write_json, writing_state
from deploy_agent.wire.events import CANCELLED
from deploy_agent.wire.result import ResultClass, ResultCode

SCHEMA = 1
_NAME = re.compile(
    r"(?P<id>[0-9]{1,20})_(?P<key>t?[0-9]+)_(?P<revision>-|[0-9]+)_(?P<code>[A-Z0-9_-]+)\.json\Z",
    re.ASCII,
)

log = logging.getLogger(__name__)


class Ended(NamedTuple):
    """One entry, as its name tells it.

    Attributes:
        package_id: digits.
        key: the attempt, or the moment of the offer where the server named none.
        revision: of the info file, None where it named none.
        code: the result; CANCELLED is none, and is never reported.
    """

    package_id: str
    key: str
    revision: int | None
    code: str

    @classmethod
    def parse(cls, name: str) -> "Ended | None":
        """Return what the file name says; None where it is no entry's."""
        match = _NAME.match(name)
        if match is None:
            return None
        revision = None if match["revision"] == "-" else int(match["revision"])
        return cls(match["id"], match["key"], revision, match["code"])

    @property
    def file_name(self) -> str:
        """The entry's file."""
        revision = "-" if self.revision is None else self.revision
        return f"{self.package_id}_{self.key}_{revision}_{self.code}.json"

    @property
    def succeeded(self) -> bool:
        """Whether this counts as 'in history'."""
        return ResultCode.parse(self.code).result_class is ResultClass.SUCCESS


@dataclass(frozen=True, slots=True)
class Output:
    """What an action wrote, bounded.

    Attributes:
        text: its last part.
        truncated: whether there was more.
    """

    text: str = ""
    truncated: bool = False


class History:
    """The entries. They are only ever added.

    What the server took back before it began has an entry too, CANCELLED: it never begins.
    """

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        self._folder = folder
        self._disk = disk or Disk()
        self._known: dict[str, list[Ended]] | None = None

    def add(self, record: PackageRecord, revision: int | None, output: Output) -> None:
        """Enter how `record` ended; the same end again changes nothing.

        Raises:
            StoreError: it cannot be written.
        """
        assert record.result is not None
        self._add(record, revision, record.result, output)

    def cancel(self, record: PackageRecord, revision: int | None, at: datetime, why: str) -> None:
        """Enter that `record`, which did not begin, was taken back at `at`.

        Raises:
            StoreError: it cannot be written.
        """
        self._add(record, revision, Result(CANCELLED, at, detail=why), Output())

    def _add(
        self, record: PackageRecord, revision: int | None, result: Result, output: Output
    ) -> None:
        ended = Ended(record.package_id, record.key, revision, result.code)
        mine = self._by_id().setdefault(record.package_id, [])
        if ended in mine:
            return
        path = self._folder / ended.file_name
        with writing_state(path):
            self._disk.make_folder(self._folder)
        entry = {
            "schema": SCHEMA,
            "package": record.package_id,
            "attempt": record.offer.attempt,
            "revision": revision,
            "since": format_time(record.since),
            "result": {
                **asdict(result),
                "ended_at": format_time(result.ended_at),
            },
            "answers": [asdict(each) | {"at": format_time(each.at)} for each in record.answers],
            "output": output.text,
            "truncated": output.truncated,
        }
        write_json(self._disk, path, entry)
        mine.append(ended)

    def note_post(self, record: PackageRecord, output: Output) -> None:
        """Add to an entry how the post command went.

        Raises:
            StoreError: it cannot be written.
        """
        post = record.post
        assert post is not None
        for ended in self._by_id().get(record.package_id, []):
            entry = self._read(ended.file_name) if ended.key == record.key else None
            if entry is not None:
                noted = {
                    "command": record.offer.postcmd,
                    "begun_at": format_time(post.begun_at),
                    "note": post.note,
                    "output": output.text,
                    "truncated": output.truncated,
                }
                write_json(self._disk, self._folder / ended.file_name, {**entry, "post": noted})

    def past(self, package_id: str, attempt: int | None) -> Past:
        """Return what stands against beginning `attempt` of a package."""
        mine = self._by_id().get(package_id, [])
        these = [] if attempt is None else [each for each in mine if each.key == str(attempt)]
        return Past(
            ended=any(each.code != CANCELLED for each in these),
            cancelled=any(each.code == CANCELLED for each in these),
            revisions=tuple(each.revision for each in mine if each.succeeded),
        )

    def result(self, package_id: str, attempt: int) -> Result | None:
        """Return how `attempt` of a package ended; None where it did not."""
        for each in self._by_id().get(package_id, []):
            if each.key == str(attempt) and each.code != CANCELLED:
                return self._read_result(each)
        return None

    def succeeded(self) -> tuple[str, ...]:
        """Return the ids of all packages in history; the inventory names them."""
        known = self._by_id().items()
        return tuple(sorted(i for i, mine in known if any(each.succeeded for each in mine)))

    def read_all(self) -> list[dict[str, Any]]:
        """Return the whole content of every entry, by time of its end."""
        found = [self._read(name) for name in names_in(self._folder) if Ended.parse(name)]
        entries = [each for each in found if each is not None]
        return sorted(entries, key=lambda each: str(each["result"]["ended_at"]))

    def _by_id(self) -> dict[str, list[Ended]]:
        """Return all entries; read once, since only this process adds any."""
        if self._known is None:
            self._known = {}
            for ended in filter(None, map(Ended.parse, names_in(self._folder))):
                self._known.setdefault(ended.package_id, []).append(ended)
        return self._known

    def _read_result(self, ended: Ended) -> Result:
        entry = self._read(ended.file_name)
        stored = entry["result"] if entry else {}
        return Result(
            code=ended.code,
            ended_at=parse_time(stored.get("ended_at", "1970-01-01T00:00:00Z")),
            exit_code=stored.get("exit_code"),
            detail=str(stored.get("detail", "")),
        )

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            entry = read_json(self._folder / name)
            if entry is None or not isinstance(entry["result"]["ended_at"], str):
                raise ValueError("it has no end")
        except (ValueError, KeyError, TypeError) as error:
            log.warning("history: %s cannot be read: %s", name, error)
            return None
        return entry
