"""Contacts that change nothing wait for no writer, and are on record a moment later."""

import sqlite3
import ssl
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from tests.support.server import RunningServer
from tests.support.waiting import wait_until

PC = "pc-1-2026-01-02-03-04-05"
INVENTORY = (
    f"<REQUEST><DEVICEID>{PC}</DEVICEID><QUERY>INVENTORY</QUERY><CONTENT><HARDWARE>"
    "<NAME>pc-1</NAME><OSNAME>Debian GNU/Linux 12</OSNAME></HARDWARE></CONTENT></REQUEST>"
)
PROLOG = f"<REQUEST><DEVICEID>{PC}</DEVICEID><QUERY>PROLOG</QUERY></REQUEST>"

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with RunningServer(tmp_path) as server:
        assert say(server, INVENTORY, "OCS-NG_first")[0] == 200
        yield server


def say(server: RunningServer, xml: str, agent: str) -> tuple[int, bytes]:
    context = ssl.create_default_context(cafile=str(server.ca_file))
    connection = HTTPSConnection("localhost", server.https_port, timeout=20, context=context)
    with closing(connection):
        body = zlib.compress(xml.encode())
        connection.request("POST", "/ocsinventory", body, {"User-Agent": agent})
        answer = connection.getresponse()
        return answer.status, answer.read()


def agent_of(server: RunningServer) -> str:
    with closing(sqlite3.connect(server.data / "tranche.db")) as database:
        return str(database.execute("SELECT agent FROM computer").fetchone()[0])


@contextmanager
def somebody_writing(server: RunningServer) -> Iterator[None]:
    with closing(sqlite3.connect(server.data / "tranche.db")) as database:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.rollback()


def test_somebody_writing_keeps_nobody_waiting(server: RunningServer) -> None:
    with somebody_writing(server):
        status, reply = say(server, PROLOG, "OCS-NG_second")
        assert status == 200
        assert b"<RESPONSE>STOP" in zlib.decompress(reply)
        assert agent_of(server) == "OCS-NG_first"
    wait_until(lambda: agent_of(server) == "OCS-NG_second", "the contact is on record")


def test_a_server_that_stops_loses_no_contact(server: RunningServer) -> None:
    assert say(server, PROLOG, "OCS-NG_last")[0] == 200
    server.stop()
    assert agent_of(server) == "OCS-NG_last"
