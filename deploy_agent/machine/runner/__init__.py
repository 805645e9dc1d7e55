"""Runs a package's action in a small process of its own that outlives the agent.

A package may replace or restart the agent, so the action is no child of it. `prepare` writes the
job down, before the agent saves its intent; `start` locks `run.lock` and hands the lock to a
runner process, which takes the job, runs the action, enforces its execution timeout on the whole
process group, keeps the end of its output and writes `result.json` at once or not at all. There is
no moment at which neither the lock is held nor the result is there: where both are missing, the
job still waits (`withdraw`: nothing was run), or nobody can know how the action ended.

What an action finds:
  * User: the agent's own, root for the service.
  * Working directory: the unpacked tree, which belongs to that user alone. STORE has none.
  * Environment: the agent's, without what systemd says to the service about itself; PATH and
    HOME have values where they had none; INSTALL_PATH is the agent's folder.
  * Standard input is empty, output and errors go together into the last 64 KiB that are kept.
  * A session and process group of its own, under systemd a scope too (scope.py), no terminal, umask
    022, signals at their defaults.
  * What it leaves running goes on running; only an execution timeout ends the whole group.

On Windows the lock cannot be handed over; the runner takes it itself, and `start` returns when
it has.
"""

from deploy_agent.machine.runner.client import is_running, outcome, prepare, start, wait, withdraw
from deploy_agent.machine.runner.job import Job

__all__ = ["Job", "is_running", "outcome", "prepare", "start", "wait", "withdraw"]
