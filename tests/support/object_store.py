"""A real server that speaks S3, on a free port of 127.0.0.1, in a process of its own."""

import itertools
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.processes import stop

#: What the store takes for a key: anything.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests"}

_SERVE = """
import time
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
while True:
    time.sleep(60)
"""

_numbers = itertools.count(1)


class ObjectStore:
    """Where buckets are made.

    Attributes:
        endpoint: its URL.
    """

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        self.endpoint = f"http://127.0.0.1:{int(process.stdout.readline())}"
        self._process = process

    def stop(self) -> None:
        """Let nobody answer there any more; nothing of it stays."""
        stop(self._process)

    def bucket(self) -> str:
        """Make a bucket that nobody else has; the address for `packages`."""
        name = f"tests-{os.getpid()}-{next(_numbers)}"
        request = urllib.request.Request(f"{self.endpoint}/{name}", method="PUT")
        urllib.request.urlopen(request).close()
        return f"s3://{name}/at/tests?endpoint={self.endpoint}&region=us-east-1"


@contextmanager
def running() -> Iterator[ObjectStore]:
    """One that runs until the block ends."""
    environment = {**os.environ, **CREDENTIALS}
    command = [sys.executable, "-W", "ignore", "-c", _SERVE]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        try:
            yield ObjectStore(process)
        finally:
            stop(process)
