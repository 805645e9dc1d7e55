"""certs/README.rst: every command in it runs as it stands there, and leads where it says."""

import os
import re
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from tests.support.processes import BIN
from tests.support.tls import handshake

CERTS = Path(__file__).parents[2] / "certs"


def sections() -> dict[str, list[str]]:
    """The commands below each heading."""
    text = (CERTS / "README.rst").read_text()
    parts = re.split(r"^(.+)\n-{5,}\n", text, flags=re.MULTILINE)
    return {
        title: re.findall(r"^    (\S.*)$", body, flags=re.MULTILINE)
        for title, body in zip(parts[1::2], parts[2::2], strict=True)
    }


@pytest.mark.slow
def test_the_ways_that_the_readme_shows(tmp_path: Path) -> None:
    shutil.copy(CERTS / "openssl.cnf", tmp_path)
    data = tmp_path / "data"
    environ = {
        **os.environ,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "DEPLOY_SERVER_DATA": str(data),
    }
    server, ca = data / "certs" / "server.pem", data / "certs" / "cacert.pem"
    seen: dict[str, bytes] = {}
    for title, commands in sections().items():
        for command in commands:
            done = subprocess.run(
                ["sh", "-c", command], cwd=tmp_path, env=environ, capture_output=True, text=True
            )
            assert done.returncode == 0, f"{title}: {command}\n{done.stderr}"
            assert "Warning" not in done.stderr, f"{title}: {command}\n{done.stderr}"
        if commands:
            handshake(server, ca, "deploy.example.org", flags=ssl.VERIFY_X509_STRICT)
            seen[title] = ca.read_bytes()
    assert len(seen) == len(set(seen.values())) == 3
