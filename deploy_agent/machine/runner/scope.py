"""A systemd scope for the runner, so that nothing that is done to the agent's service reaches it.

KillMode=process spares an action when the agent is stopped. Its own scope spares it as well from
`systemctl kill`, from limits of the agent's control group, from a session that ends (an agent that
was started by hand), and at a shutdown gives it the time that systemd gives every unit. `systemctl
status` shows it by its name. Where systemd does not run, or refuses, the action goes without.
"""

import os
import sys
from pathlib import Path

RUNNING = Path("/run/systemd/system")  # there where systemd is the init. Source: sd_booted(3)
PREFIX = "deploy-agent-action-"


def scope_command(about: str) -> list[str]:
    """Return what to put before a command, so that it runs in a scope; [] where there is none.

    systemd-run registers itself as the scope and then becomes the command: descriptors, session
    and environment stay as they are. Where it fails, it fails before.

    Args:
        about: what people read in `systemctl status`.
    """
    if sys.platform != "linux" or os.geteuid() != 0 or not RUNNING.is_dir():
        return []
    import shutil  # the runner imports this file too, never gets here, and has to start fast

    program = shutil.which("systemd-run")
    if program is None:
        return []
    # A name of its own each time: what an action leaves running keeps its scope.
    name = f"{PREFIX}{os.urandom(6).hex()}"
    options = ["--scope", "--quiet", "--collect", f"--unit={name}", f"--description={about}"]
    return [program, *options, "--"]
