"""nginx.conf of examples/production with the folders and ports of a test."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from tests.support.repository import ROOT

EXAMPLES = ROOT / "examples" / "production"

_MAIN = """
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/errors.log;
events {{ worker_connections 512; }}
http {{
    {places}
    sendfile on;
    tcp_nopush on;
    {settings}
    include {folder}/tranche.conf;
}}
"""


def configured(
    folder: Path, data: Path, shared: Path, ports: Mapping[str, int], settings: str = ""
) -> Path:
    """The example inside a main file like Debian's; where that is.

    Args:
        folder: for both, and for what nginx keeps.
        data: the data directory of the server with the certificates.
        shared: where packages are.
        ports: instead of the example's, by those.
        settings: more of the main file's.
    """
    text = (EXAMPLES / "nginx.conf").read_text()
    text = re.sub(r"listen \[::\]:\d+( ssl)?;", "", text)
    for old, new in ports.items():
        text = re.sub(rf"(listen |127\.0\.0\.1:){old}\b", rf"\g<1>{new}", text)
    text = text.replace("listen ", "listen 127.0.0.1:")
    text = text.replace("/var/lib/deploy-server/", f"{data}/")
    text = text.replace("/srv/tranche", str(shared))
    (folder / "tranche.conf").write_text(text)
    kept = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    main = folder / "nginx.conf"
    main.write_text(
        _MAIN.format(
            user="user root;" if os.geteuid() == 0 else "",
            folder=folder,
            places=" ".join(f"{name}_temp_path {folder}/{name};" for name in kept),
            settings=settings,
        )
    )
    return main
