"""The systemd unit of the server and the user it runs as, as texts. Pure.

The server needs its data directory, the network and nothing else of a machine, so the unit takes
everything else from it: systemd.exec(5) has the meaning of each line.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

NAME = "deploy-server.service"
USER = "deploy-server"

_PLAIN = re.compile(r"[^\s'\";]+")

_TEXT = """\
# Made by 'deploy-server install', which writes it anew; your own changes belong into
# 'systemctl edit deploy-server'. 'deploy-server uninstall' removes it.

[Unit]
Description=Tranche deployment server
Wants=network-online.target
After=network-online.target nss-lookup.target time-sync.target postgresql.service
# However often it fails, it comes back: agents keep asking.
StartLimitIntervalSec=0

[Service]
# It says itself when it answers.
Type=notify
ExecStart={command}
Restart=always
RestartSec=5
# Requests under way are finished first.
TimeoutStopSec=30
User={user}
Group={user}
# One for each agent that asks right now.
LimitNOFILE=65536
LimitCORE=0:infinity

# Ports below 1024 without being root, and nothing else that root may.
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
NoNewPrivileges=yes

# It writes below its data directory only.
ProtectSystem=strict
ReadWritePaths={writable}
ProtectHome={home}
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
KeyringMode=private
LockPersonality=yes
RemoveIPC=yes
# Netlink tells which addresses this machine has.
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
StandardInput=null
StandardOutput=journal
StandardError=journal
SyslogIdentifier=deploy-server

[Install]
WantedBy=multi-user.target
"""

_USERS = """\
# Made by 'deploy-server install'. Type, name, id, comment, home.
u {user} - "Tranche deployment server" {home}
"""

_HOMES = ("/home", "/root", "/run/user")


@dataclass(frozen=True, slots=True)
class Work:
    """What the service does.

    Attributes:
        command: an absolute program and its arguments.
        data: the data directory.
        database: of SQLite, where it lies elsewhere.
        interpreter: what the program is run by, wherever links lead.
    """

    command: Sequence[str]
    data: Path
    database: Path | None = None
    interpreter: Path | None = None


def unit_text(work: Work) -> str:
    """Return the unit."""
    # SQLite writes beside its file.
    writable = [work.data, *([work.database.parent] if work.database else [])]
    paths = [Path(work.command[0]), *writable, *([work.interpreter] if work.interpreter else [])]
    # What lies in somebody's home is seen there, and nothing else of it can be written.
    home = any(path.is_relative_to(place) for path in paths for place in _HOMES)
    return _TEXT.format(
        command=" ".join(map(_word, work.command)),
        user=USER,
        writable=" ".join(_word(str(path), variables=False) for path in writable),
        home="read-only" if home else "yes",
    )


def users_text(data: Path) -> str:
    """Return the line of sysusers.d(5) that makes the user."""
    return _USERS.format(user=USER, home=_word(str(data), variables=False))


def _word(text: str, *, variables: bool = True) -> str:
    r"""Return a word as systemd.service(5) reads it: %, \ and quotes mean something, $ may."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    if variables:
        escaped = escaped.replace("$", "$$")
    escaped = escaped.replace("\n", "\\n")
    return text if escaped == text and _PLAIN.fullmatch(text) else f'"{escaped}"'
