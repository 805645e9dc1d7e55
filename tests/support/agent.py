"""Our ``deploy-agent`` as a computer of its own: configuration and state in one folder."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.support.processes import BIN
from tests.support.server import run_program


class TrancheAgent:
    """One computer with our agent on it."""

    def __init__(self, folder: Path, server: str, ca_file: Path, *options: str) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / "agent.toml"
        self.state = folder / "state"
        done = self.run("configure", "--server", server, "--ca", str(ca_file), *options)
        assert done.returncode == 0, done.stderr

    def arguments(self, *command: str) -> list[str]:
        return ["--config", str(self.config), "--state", str(self.state), *command]

    def run(self, *command: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return run_program("deploy-agent", *self.arguments(*command), seconds=seconds)

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Begin a command and leave it running."""
        return subprocess.Popen(
            [str(BIN / "deploy-agent"), *self.arguments(*command)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=dict(os.environ),
        )

    def once(self, *options: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """``deploy-agent once --no-wait``, which must end with status ``expect``."""
        done = self.run("once", "--no-wait", *options)
        assert done.returncode == expect, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *command: str) -> Any:
        done = self.run(*command, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @property
    def device_id(self) -> str:
        return str(self.json("status")["device_id"])
