"""The systemd unit of the agent, as text. Pure.

Most of systemd.exec(5)'s protection is missing on purpose. What the agent starts are packages,
which may do everything on this computer, and they inherit nearly every restriction of the agent,
for good and in a scope of their own too: namespaces, system call filters and lost capabilities go
from parent to child. docs/agent.rst names what is left out, with the reasons.
"""

import re
from collections.abc import Sequence

NAME = "deploy-agent.service"
FOLDER = "etc/systemd/system"

_PLAIN = re.compile(r"[^\s'\";]+")

_TEXT = """\
# Made by 'deploy-agent install', which writes it anew; your own changes belong into
# 'systemctl edit deploy-agent'. 'deploy-agent uninstall' removes it.

[Unit]
Description=Tranche deployment agent
Wants=network-online.target
After=network-online.target nss-lookup.target time-sync.target
# However often it fails, it comes back: nobody may be there to start it.
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={command}
Restart=always
RestartSec=30
# Only the agent is stopped. The action of a package goes on (it is in a scope of its own as a rule)
# and is reported by the agent that is started next, perhaps a newer one which the action installs.
KillMode=process
TimeoutStopSec=30
# Where an action uses up the memory, the action is what has to go.
OOMPolicy=continue

# What protects the agent and spares the packages. They run as its children and keep for ever what
# is taken from it, so there is no ProtectSystem=, PrivateTmp=, NoNewPrivileges=, SystemCallFilter=
# and the like: docs/agent.rst says which and why.
UMask=0077
LimitCORE=0:infinity
KeyringMode=private
StandardInput=null
StandardOutput=journal
StandardError=journal
SyslogIdentifier=deploy-agent

[Install]
WantedBy=multi-user.target
"""


def unit_text(command: Sequence[str]) -> str:
    """Return the unit that runs `command`: an absolute program and its arguments."""
    return _TEXT.format(command=" ".join(map(_word, command)))


def _word(text: str) -> str:
    r"""Return a word as systemd.service(5) reads it: %, $, \ and quotes mean something there."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    escaped = escaped.replace("\n", "\\n")
    return text if escaped == text and _PLAIN.fullmatch(text) else f'"{escaped}"'
