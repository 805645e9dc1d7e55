"""How far a build is: a bar on a terminal, a line now and then elsewhere; on stderr."""

import sys
import time
from types import TracebackType
from typing import Self

import click

_MIB = 1024 * 1024
_LINE_EVERY_S = 10
_DRAW_EVERY_S = 0.1
_WIDTH = 30


class ProgressReport:
    """Called as `build_package` calls its `progress`; the bar goes when the block ends."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._every = _DRAW_EVERY_S if self._is_terminal else _LINE_EVERY_S
        self._said = time.monotonic()
        self._drawn = False

    def __call__(self, taken: int, total: int | None) -> None:
        """Say it, if it is time again."""
        now = time.monotonic()
        if now - self._said < self._every:
            return
        self._said = now
        text = f"{taken // _MIB} MiB"
        if total:
            text = f"{taken * 100 // total:3} %  {text} of {total // _MIB} MiB"
        if self._is_terminal:
            filled = _WIDTH * taken // total if total else 0
            bar = f"[{'#' * filled}{'.' * (_WIDTH - filled)}]  " if total else ""
            click.echo(f"\r{bar}{text}\x1b[K", err=True, nl=False)
            self._drawn = True
        else:
            click.echo(text, err=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._drawn:
            click.echo("\r\x1b[K", err=True, nl=False)
