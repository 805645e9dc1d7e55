"""A large installation in a database: computers, packages, groups, results, in bulk.

    python -m tests.support.seed DATA --computers 100000 --packages 200 --assignments 1000000

It writes rows only; a package that has to be fetched is built in the usual way.
"""

import argparse
import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, text

from deploy_agent.wire.result import ResultCode
from deploy_server.config import load
from deploy_server.domain.version import version_key
from deploy_server.storage.database import make_engine
from deploy_server.storage.models import (
    Activation,
    Assignment,
    Computer,
    ComputerAddress,
    Group,
    GroupMember,
    Package,
    Report,
)
from deploy_server.storage.types import fold

FIRST_PACKAGE = 1_790_000_000
TAGS = ("LYON", "PARIS", "BERLIN", "MILANO", "KRAKÓW", "")
SYSTEMS = (
    ("windows", "Microsoft Windows 11 Pro", "10.0.26100"),
    ("windows", "Microsoft Windows 10 Enterprise", "10.0.19045"),
    ("windows", "Microsoft Windows Server 2022 Standard", "10.0.20348"),
    ("linux", "Debian GNU/Linux 12 (bookworm)", "12.7"),
    ("linux", "Ubuntu 24.04.1 LTS", "24.04"),
    ("macos", "macOS 15 Sequoia", "15.1"),
)
MODELS = ("ThinkPad T14 Gen 4", "OptiPlex 7010", "EliteBook 840 G9", "MacBook Pro 14", "PowerEdge")
PROGRAMS = (
    "7-Zip", "Firefox", "LibreOffice", "VLC", "Notepad++", "Chrome", "Zoom", "OCS agent",
    "Java Runtime", "PostgreSQL client", "Antivirus definitions", "Printer driver",
)  # fmt: skip
CODES = (
    ("SUCCESS", 70),
    ("SUCCESS_ALREADY_SETUP", 6),
    ("NOTIFIED", 8),
    ("WAITING", 9),
    ("ERR_EXIT_CODE_1603", 3),
    ("ERR_BAD_DIGEST", 1),
    ("ERR_DOWNLOAD_PACK", 2),
    ("ERR_OUT_OF_SPACE", 1),
)

#: What must not break a page.
NASTY = (
    "<script>alert(1)</script>",
    "\u202egnp.exe rtl \u05e9\u05dc\u05d5\u05dd",
    "A" * 10_000,
    "'\"><img src=x onerror=alert(2)>",
    "{{ 7 * 7 }} ${7*7} =1+1",
    "名前 " * 200,
)


def batches(rows: Iterable[dict[str, Any]], size: int = 5000) -> Iterator[list[dict[str, Any]]]:
    """The rows in lists that a database takes at once."""
    iterator = iter(rows)
    while batch := list(islice(iterator, size)):
        yield batch


def write(connection: Connection, model: Any, rows: Iterable[dict[str, Any]]) -> None:
    """Insert rows of one table."""
    for batch in batches(rows):
        connection.execute(insert(model), batch)


def computer_rows(count: int, now: datetime, dice: random.Random) -> Iterator[dict[str, Any]]:
    """Computers as an office has them, and a few whose every text is nasty."""
    for number in range(1, count + 1):
        family, system, version = dice.choice(SYSTEMS)
        texts = {
            "device_id": f"PC-{number:06d}-2024-05-06-07-08-09",
            "name": f"PC-{number:06d}",
            "tag": dice.choice(TAGS),
            "os": system,
            "arch": "x86_64",
            "user": f"user{number % 7000}",
            "workgroup": "EXAMPLE",
            "serial": f"SN{number:09d}",
            "model": dice.choice(MODELS),
            "agent": "OCS-NG_WINDOWS_AGENT_v2.10.1.0"
            if family == "windows"
            else "OCS-NG_unified_unix_agent_v2.10.0",
        }
        if number <= len(NASTY) and count > len(NASTY):
            nasty = NASTY[number - 1]
            texts |= {name: nasty for name in texts if name != "device_id"}
            texts["device_id"] = f"{nasty}-2024-05-06-07-08-{number:02d}"
        contact = now - timedelta(minutes=int(dice.expovariate(1 / 900)))
        yield {
            **texts,
            **{f"{name}_key": fold(text) for name, text in texts.items()},
            "id": number,
            "os_family": family,
            "os_version": version,
            "os_version_key": fold(version),
            "os_version_sort": version_key(version),
            "memory": dice.choice((4096, 8192, 16384, 32768)),
            "ip": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
            "created_at": now - timedelta(days=400),
            "last_contact": contact,
            "last_inventory": contact - timedelta(hours=5),
        }


def package_rows(count: int, now: datetime, dice: random.Random) -> Iterator[dict[str, Any]]:
    """Packages of every action and system; the last ones have nasty names."""
    actions = (("LAUNCH", "setup.exe /S"), ("EXECUTE", "msiexec /i app.msi /qn"),
               ("STORE", "C:\\Tools\\App"))  # fmt: skip
    for number in range(1, count + 1):
        action, target = dice.choice(actions)
        name = f"{dice.choice(PROGRAMS)} {number}.{dice.randrange(9)}"
        if count - number < len(NASTY) and count > len(NASTY):
            name = f"{NASTY[count - number]} {number}"
        size = dice.randrange(20_000, 900_000_000)
        yield {
            "id": FIRST_PACKAGE + number * 3600,
            "name": name,
            "name_key": fold(name),
            "description": f"Ticket {4000 + number}",
            "os": dice.choice(("windows", "windows", "linux", "any")),
            "action": action,
            "target": target,
            "priority": dice.randrange(11),
            "protocol": "HTTP",
            "size": size,
            "file_name": "package.zip",
            "fragments": -(-size // 1_048_576),
            "fragment_size": 1_048_576,
            "digest": "be3aec7c3e6e119f2f2d89b784160b45",
            "digest_algorithm": "MD5",
            "digest_encoding": "Hexa",
            "sha256": "ab" * 32,
            "options": {},
            "created_at": now - timedelta(hours=(count - number) * 9),
            "created_by": dice.choice(("marie", "jan", "admin")),
        }


def assignment_rows(
    computers: int, packages: int, count: int, now: datetime, dice: random.Random
) -> Iterator[dict[str, Any]]:
    """Assignments with results, the same number for every package."""
    codes, weights = zip(*CODES, strict=True)
    each = count // max(1, packages)
    number = 0
    for package in range(1, packages + 1):
        first = dice.randrange(computers)
        for step in range(min(each, computers)):
            number += 1
            status = dice.choices(codes, weights)[0]
            since = now - timedelta(minutes=dice.randrange(60 * 24 * 30))
            yield {
                "id": number,
                "computer_id": (first + step) % computers + 1,
                "package_id": FIRST_PACKAGE + package * 3600,
                "activation_id": package,
                "attempt": 1_700_000_000 + number,
                "status": status,
                "status_class": int(ResultCode.parse(status).result_class),
                "since": since,
                "assigned_at": since - timedelta(hours=3),
                "assigned_by": "marie",
                "notified_at": None if status == "WAITING" else since,
            }


def seed(
    connection: Connection, *, computers: int, packages: int, assignments: int, now: datetime
) -> None:
    """Fill an empty, migrated database."""
    dice = random.Random(7)
    write(connection, Computer, computer_rows(computers, now, dice))
    write(
        connection,
        ComputerAddress,
        ({"computer_id": n, "kind": "ip", "value": (ip := f"10.{n >> 16 & 255}.{n >> 8 & 255}."
          f"{n & 255}"), "value_key": ip} for n in range(1, computers + 1)),
    )  # fmt: skip
    write(connection, Package, package_rows(packages, now, dice))
    write(
        connection,
        Activation,
        (
            {
                "id": number,
                "package_id": FIRST_PACKAGE + number * 3600,
                "info_url": "deploy.example.org:8443/download",
                "fragment_url": "deploy.example.org:8080/download",
                "created_at": now - timedelta(days=20),
                "created_by": "marie",
            }
            for number in range(1, packages + 1)
        ),
    )
    write(connection, Assignment, assignment_rows(computers, packages, assignments, now, dice))
    groups(connection, computers, now, dice)
    connection.execute(text("ANALYZE"))  # as a database knows itself that grew to this


def groups(connection: Connection, computers: int, now: datetime, dice: random.Random) -> None:
    """Static and dynamic groups, and a history for the first computers."""
    names = ("Servers", "Pilot ring", "Class room 12", "Kiosks", NASTY[0], NASTY[2][:200])
    rows = [
        {"id": n, "name": name, "name_key": fold(name), "kind": "static", "visible": n % 2 == 1,
         "created_at": now - timedelta(days=n), "created_by": "marie",
         "description": "Made for the pilot"}
        for n, name in enumerate(names, 1)
    ]  # fmt: skip
    dynamic = {**rows[0], "id": 99, "name": "All Windows", "name_key": "all windows",
               "kind": "dynamic", "expression": "os ~ windows"}  # fmt: skip
    write(connection, Group, [{"expression": "", **each} for each in rows] + [dynamic])
    members = (
        {"group_id": row["id"], "computer_id": computer, "kind": "include", "added_at": now,
         "added_by": "marie"}
        for row in rows
        for computer in dice.sample(range(1, computers + 1), min(computers, 40 * row["id"]))
    )  # fmt: skip
    write(connection, GroupMember, members)
    write(
        connection,
        Report,
        (
            {"at": now - timedelta(hours=n), "device_id": "PC-000012-2024-05-06-07-08-09",
             "computer_name": "PC-000012", "package_id": FIRST_PACKAGE + n * 3600,
             "package_name": "7-Zip", "code": code, "counted": True,
             "result_class": int(ResultCode.parse(code).result_class), "note": ""}
            for n, (code, _) in enumerate(CODES, 1)
        ),
    )  # fmt: skip


def main() -> None:
    """Seed an initialised data directory."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--computers", type=int, default=100_000)
    parser.add_argument("--packages", type=int, default=200)
    parser.add_argument("--assignments", type=int, default=1_000_000)
    options = parser.parse_args()
    engine = make_engine(load(options.data).database_url)
    with engine.begin() as connection:
        seed(
            connection,
            computers=options.computers,
            packages=options.packages,
            assignments=options.assignments,
            now=datetime.now(UTC).replace(microsecond=0),
        )
    engine.dispose()


if __name__ == "__main__":
    main()
