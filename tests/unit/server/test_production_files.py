"""examples/production without running it: schemas, and that what it names exists."""

import re
import shlex
from pathlib import Path
from typing import Any

import kubernetes_validate
import psycopg
import pytest
import yaml

from deploy_server.cli import main
from deploy_server.config import from_environ
from tests.support.databases import PostgresDatabases
from tests.support.repository import ROOT

EXAMPLES = ROOT / "examples" / "production"

#: Of the Compose Specification, as far as anybody needs it here.
COMPOSE_TOP = {"name", "services", "volumes", "networks", "secrets", "configs"}
COMPOSE_SERVICE = {
    *("image", "command", "entrypoint", "environment", "volumes", "ports", "healthcheck"),
    *("depends_on", "stop_grace_period", "read_only", "tmpfs", "cap_drop", "security_opt"),
    *("restart", "user", "secrets", "build"),
}
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((EXAMPLES / name).read_text()))


@pytest.fixture(scope="module")
def cluster() -> dict[str, dict[str, Any]]:
    return {each["kind"]: each for each in documents("kubernetes.yaml")}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    (found,) = documents("compose.yaml")
    return found


def understood(words: list[str]) -> None:
    """A command of deploy-server with its options."""
    context = main.make_context("deploy-server", list(words))
    name, command, rest = main.resolve_command(context, [*context._protected_args, *context.args])
    assert command is not None
    command.make_context(name or "", rest, parent=context)


def commands_in(script: str) -> list[list[str]]:
    return [shlex.split(found) for found in re.findall(r"deploy-server ((?:init|db) .*)", script)]


@pytest.mark.slow
def test_kubernetes_takes_every_document(cluster: dict[str, dict[str, Any]]) -> None:
    newest = kubernetes_validate.latest_version()
    for document in cluster.values():
        kubernetes_validate.validate(document, newest, strict=True)
    wrong = {**cluster["Service"], "spec": {"type": 7, "ports": "none"}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, newest, strict=True)


def test_the_pod_s_parts_fit_together(cluster: dict[str, dict[str, Any]]) -> None:
    spec = cluster["Deployment"]["spec"]
    pod = spec["template"]["spec"]
    (server,) = pod["containers"]
    ports = {each["name"]: each["containerPort"] for each in server["ports"]}
    assert ports == {"http": 8080, "https": 8443}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = server[probe]["httpGet"]
        assert (asked["port"], asked["scheme"]) == ("https", "HTTPS")
        assert asked["path"] == ("/readyz" if probe == "readinessProbe" else "/healthz")
    assert {each["targetPort"] for each in cluster["Service"]["spec"]["ports"]} == set(ports)
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"] == labels == cluster["Service"]["spec"]["selector"]
    volumes = {each["name"] for each in pod["volumes"]}
    for container in (server, *pod["initContainers"]):
        assert {each["name"] for each in container["volumeMounts"]} == volumes
        names = {each["name"]: each.get("value", "x") for each in container["env"]}
        assert from_environ(names).keys() == {"database_url", "metrics_allow"}
    secret = server["env"][0]["valueFrom"]["secretKeyRef"]
    assert secret["key"] in cluster["Secret"]["stringData"]
    understood(server["args"])
    for words in commands_in(pod["initContainers"][0]["args"][0]):
        understood(words)


def test_compose_names_what_there_is(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert compose.keys() <= COMPOSE_TOP
    for name, service in services.items():
        assert service.keys() <= COMPOSE_SERVICE, name
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in compose["volumes"]
        for other, how in service.get("depends_on", {}).items():
            assert other in services
            assert how["condition"] in CONDITIONS
    understood(services["server"]["command"])
    script = services["prepare"]["command"][0]
    assert len(commands_in(script)) == 2
    for words in commands_in(script):
        understood(words)
    compile(services["server"]["healthcheck"]["test"][3], "healthcheck", "exec")
    assert "/readyz" in services["server"]["healthcheck"]["test"][3]


def test_the_image_runs_a_command_that_there_is() -> None:
    text = (EXAMPLES / "Dockerfile").read_text()
    assert re.search(r'^ENTRYPOINT \["deploy-server"\]$', text, re.MULTILINE)
    understood(re.findall(r'^CMD \["(\w+)"\]$', text, re.MULTILINE))


@pytest.mark.slow
def test_postgresql_knows_every_setting(postgres_databases: PostgresDatabases) -> None:
    cluster = postgres_databases._cluster
    settings = cluster.data / "tranche.conf"
    settings.write_bytes((EXAMPLES / "postgresql.conf").read_bytes())
    settings.chmod(0o644)
    main_file = cluster.data / "postgresql.conf"
    before = main_file.read_text()
    main_file.write_text(f"{before}\ninclude '{settings}'\n")
    try:
        with cluster.connect() as connection:
            rows = connection.execute(
                "SELECT name, setting, error FROM pg_file_settings WHERE sourcefile = %s",
                (str(settings),),
            ).fetchall()
    except psycopg.Error as error:
        raise AssertionError(f"PostgreSQL cannot read it: {error}") from error
    finally:
        main_file.write_text(before)
    assert len(rows) > 10
    # What needs a restart is right and not applied.
    wrong = [row for row in rows if row[2] not in (None, "setting could not be applied")]
    assert wrong == []
    known = {name for name, _, _ in rows}
    assert {"shared_buffers", "synchronous_commit", "max_connections"} <= known


def test_every_file_is_explained() -> None:
    text = (EXAMPLES / "README.rst").read_text()
    named = set(re.findall(r"``([\w@.-]+\.\w+|Dockerfile)``", text))
    there = {path.name for path in Path(EXAMPLES).iterdir()} - {"README.rst"}
    assert there <= named
