"""A computer behind faulty lines, for the faults of networks."""

import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.certificates import Issued, issue
from tests.support.computer import Computer
from tests.support.fault_proxy import FaultProxy
from tests.support.fork_server import Agents
from tests.support.lives import Tried
from tests.support.networked import Network, simulated
from tests.support.real_lives import Site, running_site
from tests.support.talking import LOCAL


@pytest.fixture(scope="session")
def ca() -> Issued:
    return issue("an own CA", ca=True)


@pytest.fixture(scope="session")
def certificate(ca: Issued, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server's, with its key."""
    made = issue("server", by=ca, san=LOCAL)
    return made.save(tmp_path_factory.mktemp("certificate") / "server.pem")


@pytest.fixture
def ca_file(ca: Issued, tmp_path: Path) -> Path:
    path = tmp_path / "cacert.pem"
    path.write_bytes(ca.pem())
    return path


@pytest.fixture
def network(tmp_path: Path, certificate: Path, ca_file: Path) -> Iterator[Network]:
    pc = Computer(tmp_path / "pc")
    pc.folder.mkdir()
    upstream = simulated(pc.server)
    with FaultProxy(upstream, certificate) as central, FaultProxy(upstream) as site:
        yield Network(pc, central, site, ca_file)


@pytest.fixture
def tried(record_property: Callable[[str, object], None]) -> Iterator[Tried]:
    """Counts the lives that a test ends; the run's summary tells their number."""
    counted = Tried()
    yield counted
    counted.record(record_property)


@pytest.fixture
def folders() -> Iterator[Iterator[Path]]:
    """Any number of empty folders, in memory where the system has such a place."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield (Path(folder) / str(number) for number in itertools.count())


@pytest.fixture(scope="module")
def site(certificate: Path, ca: Issued, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "ca.pem").write_bytes(ca.pem())
    with running_site(certificate, folder / "ca.pem", folder) as running:
        yield running


@pytest.fixture(scope="module")
def agents() -> Iterator[Agents]:
    with Agents() as running:
        yield running
