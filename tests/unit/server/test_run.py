"""What the parent does besides keeping workers: once a day, and when the certificate changes."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy_server.config import ServerConfig
from deploy_server.domain.errors import StorageError
from deploy_server.services import certificates
from deploy_server.services.certificates import CertificateStore
from deploy_server.serving import run


class FakeSupervisor:
    def __init__(self) -> None:
        self.replaced: list[str] = []

    def replace(self, scheme: str) -> None:
        self.replaced.append(scheme)


def test_jobs_are_done_at_once_and_then_once_a_day(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    time = [0.0]
    monkeypatch.setattr("deploy_server.serving.run.time.monotonic", lambda: time[0])
    done: list[str] = []

    def fails() -> None:
        done.append("fails")
        raise StorageError("the disk is full")

    daily = run._Daily([fails, lambda: done.append("works")])
    daily.run_now()
    assert done == ["fails", "works"]
    assert "Left for tomorrow: the disk is full" in caplog.text
    for time[0] in (1.0, 86_399.0):
        daily.look()
    assert len(done) == 2
    time[0] = 86_400.0
    daily.look()
    daily.look()
    assert len(done) == 4


@pytest.fixture
def config(tmp_path: Path) -> ServerConfig:
    config = ServerConfig(data=tmp_path)
    config.run.mkdir()
    certificates.create_own(CertificateStore(config.certs), ["localhost"], datetime.now(UTC))
    return config


def test_a_changed_certificate_replaces_the_workers_of_https_once(config: ServerConfig) -> None:
    supervisor, store = FakeSupervisor(), CertificateStore(config.certs)
    watch = run._CertificateWatch(config, supervisor)  # type: ignore[arg-type]
    watch.look()
    assert supervisor.replaced == []
    certificates.renew(store, [], None, datetime.now(UTC))
    watch.look()
    watch.look()
    assert supervisor.replaced == ["https"]


@pytest.mark.parametrize("fault", ["removed", "damaged"])
def test_a_certificate_that_cannot_work_replaces_nobody(
    config: ServerConfig, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    supervisor, store = FakeSupervisor(), CertificateStore(config.certs)
    watch = run._CertificateWatch(config, supervisor)  # type: ignore[arg-type]
    if fault == "removed":
        store.server_file.unlink()
    else:
        store.server_file.write_text("-----BEGIN CERTIFICATE-----\n")
    watch.look()
    watch.look()
    assert supervisor.replaced == []
    assert caplog.text.count("The old certificate stays in use") == 1
    assert list(config.run.iterdir()) == [], "no copy of the key stays"
