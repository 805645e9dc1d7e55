"""``deploy-server`` in this process: what a command printed, and with which status it ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str


class Cli:
    """Commands on one data directory; an exception that nobody meant fails the test."""

    def __init__(self, data: Path, environ: Mapping[str, str] | None = None) -> None:
        self.data = data
        self.environ = {**(environ or {}), "DEPLOY_SERVER_DATA": str(data)}

    def __call__(self, *arguments: str | Path, stdin: str = "") -> Outcome:
        from deploy_server.cli import main

        result = CliRunner().invoke(
            main,
            [str(each) for each in arguments],
            input=stdin,
            env=self.environ,
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Outcome(result.exit_code, result.stdout, result.stderr)

    def ok(self, *arguments: str | Path, stdin: str = "") -> str:
        """Standard output of a command that must end with 0."""
        outcome = self(*arguments, stdin=stdin)
        assert outcome.status == 0, outcome
        return outcome.out

    def refused(self, *arguments: str | Path, stdin: str = "") -> str:
        """The one line on stderr of a command that must end with 1 and print nothing else."""
        outcome = self(*arguments, stdin=stdin)
        assert (outcome.status, outcome.out) == (1, ""), outcome
        assert outcome.err.count("\n") == 1, outcome
        return outcome.err.strip()
