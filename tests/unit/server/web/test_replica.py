"""Which pages may be read from a replica; tests/integration/test_replica.py reads them there."""

from pathlib import Path

import pytest

from deploy_server.config import ConfigError, ServerConfig, load
from deploy_server.storage.database import make_engine
from deploy_server.storage.replica import Replica
from deploy_server.web.replica import PAGES, PARTS, replica_of
from deploy_server.web.rights import Right, right_of
from tests.support.console import Console

POSTGRESQL = "postgresql+psycopg://tranche@127.0.0.1:1/tranche"


def test_what_is_read_there_is_there_and_changes_nothing(console: Console) -> None:
    rules = {rule.endpoint: rule for rule in console.app.url_map.iter_rules()}
    for name in PAGES | PARTS:
        assert rules[name].methods == {"GET", "HEAD", "OPTIONS"}, name
        right = right_of(console.app.view_functions[name])
        assert right in (Right.READ, Right.READ_AUDIT, Right.DELETE_COMPUTERS), name
        assert name.rpartition(".")[2].split("_")[0] not in ("ask", "form", "edit"), name


def test_without_a_replica_nothing_is_asked(console: Console) -> None:
    assert replica_of(console.app) is None
    admin = console.user("superadmin")
    answer = admin.post("/groups", {"name": "Pilot"})
    assert "__Host-wrote" not in str(answer.headers)
    assert "replica" not in admin.get("/readyz").text
    assert "replica" not in admin.get("/metrics").text


@pytest.mark.parametrize(
    ("database", "replica"),
    [("", POSTGRESQL), (POSTGRESQL, "sqlite:////tmp/x.db"), ("sqlite:////tmp/x.db", POSTGRESQL)],
)
def test_sqlite_has_no_replica(tmp_path: Path, database: str, replica: str) -> None:
    with pytest.raises(ConfigError, match="SQLite has no replicas"):
        ServerConfig(data=tmp_path, database_url=database, replica_url=replica)


def test_the_replica_is_a_key_of_the_configuration(tmp_path: Path) -> None:
    lines = [f'database_url = "{POSTGRESQL}"', f'replica_url = "{POSTGRESQL}"']
    (tmp_path / "server.toml").write_text("\n".join([*lines, "replica_max_lag_s = 5"]))
    config = load(tmp_path, {})
    assert (config.replica_url, config.replica_max_lag_s) == (POSTGRESQL, 5)
    with pytest.raises(ConfigError, match="replica_max_lag_s is 0"):
        load(tmp_path, {"DEPLOY_SERVER_REPLICA_MAX_LAG_S": "0"})


def test_an_address_that_is_none_is_told() -> None:
    engine = make_engine(POSTGRESQL)
    with pytest.raises(ConfigError, match="it is not a URL"):
        Replica("postgresql+psycopg://u@host:port/x", engine, 30)


def test_nobody_reads_while_the_primary_is_away() -> None:
    engine = make_engine(POSTGRESQL)
    replica = Replica(POSTGRESQL, engine, 30)
    try:
        assert replica.state().trouble.startswith("the primary does not answer")
        assert not replica.reached(1)
    finally:
        replica.close()
        engine.dispose()
