"""The activity log on disk: a file for each day, the last days kept, written by every worker.

Shape: 2026-11-21T10:15:01Z;4711;2001;pc-2026-11-21-10-24-07;192.0.2.7;OCS-NG_...;1800000001 SUCCESS
(time, process, then services/activity's line). Workers share nothing: each appends whole lines, and
a new day is a new name, so nobody renames what another one writes to.
"""

import contextlib
import logging
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from deploy_server.services.activity import log

#: How many days are kept beside today's, as OCS's logrotate does.
KEPT_DAYS = 7


class DailyFile(logging.Handler):
    """Appends lines to `activity-YYYY-MM-DD.log` in a folder.

    Args:
        folder: made when the first line comes.
        kept_days: older files are removed when a day begins.
    """

    def __init__(self, folder: Path, kept_days: int = KEPT_DAYS) -> None:
        super().__init__()
        self._folder = folder
        self._kept_days = kept_days
        self._day: date | None = None
        self._file = -1

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line; a full disk loses it and stops nobody."""
        moment = datetime.fromtimestamp(record.created, UTC)
        line = f"{moment:%Y-%m-%dT%H:%M:%SZ};{record.process};{record.getMessage()}\n"
        try:
            self._turn_to(moment.date())
            # One write to a file opened for appending: lines of several workers never mix.
            os.write(self._file, line.encode(errors="replace"))
        except OSError:
            self.handleError(record)

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        with self.lock or contextlib.nullcontext():
            if self._file >= 0:
                os.close(self._file)
            self._file, self._day = -1, None
        super().close()

    def _turn_to(self, day: date) -> None:
        if day == self._day:
            return
        self._folder.mkdir(mode=0o750, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        opened = os.open(self._folder / f"activity-{day}.log", flags, 0o640)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._day = opened, day
        oldest = f"activity-{day - timedelta(days=self._kept_days)}.log"
        for file in self._folder.glob("activity-????-??-??.log"):
            if file.name < oldest:
                file.unlink(missing_ok=True)


def log_activity_to(folder: Path) -> None:
    """Write the activity log into `folder`, and nowhere else."""
    log.addHandler(DailyFile(folder))
    log.setLevel(logging.INFO)
    log.propagate = False
