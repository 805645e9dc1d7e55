"""The runner process: `python -I -S __main__.py FOLDER LOCK`, started by `client.start`.

Run as a file, so that it finds its own package whatever the interpreter's path is.
"""

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

# Everything is imported before the action starts: it may replace these very files.

from deploy_agent.machine.runner import lock
from deploy_agent.machine.runner.job import ResultFile, take_job
from deploy_agent.machine.runner.perform import perform


def main(folder: Path, held: int) -> None:
    """Run the job of `folder` and write its result.

    Args:
        folder: the package's.
        held: the descriptor that holds the lock.
    """
    if sys.platform == "win32":
        taken = lock.take(folder)
        if taken is None:
            raise SystemExit(f"another runner works on {folder}")
        held = taken
    else:
        os.set_inheritable(held, False)
        _detach()
    try:
        job = take_job(folder)
    except FileNotFoundError:
        raise SystemExit(f"no job waits in {folder}; the agent may have withdrawn it") from None
    result = ResultFile(folder)
    performed = perform(job, dict(os.environ), folder)
    result.write(performed.outcome)
    os.close(held)
    if performed.reader is not None:
        # A service that the action started may write for as long as it lives; without a reader
        # its next line would kill it.
        performed.reader.join()


def _detach() -> None:
    # Whoever stops the agent or the computer means the action to decide for itself; it gets the
    # default handlers back, which an ignored signal would not. Before the fork, so that there is
    # no moment without them.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    for number in _ignored():
        signal.signal(number, signal.SIG_DFL)
    if os.fork():
        os._exit(0)


def _ignored() -> set[signal.Signals]:
    """Return the signals that whoever started the agent ignores, a shell's SIGQUIT for one."""
    # Python ignores two by itself, and Popen gives them back to what it starts.
    found = {number for number in signal.Signals if signal.getsignal(number) is signal.SIG_IGN}
    return found - {signal.SIGPIPE, signal.SIGXFSZ}


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
