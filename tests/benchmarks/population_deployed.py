"""The rows of what is deployed to a large fleet: packages, assignments, results, groups."""

import itertools
import random
from collections.abc import Iterator

from deploy_agent.wire.result import ResultClass, ResultCode
from deploy_server.services.audit.chain import digest_of
from deploy_server.storage.types import fold
from tests.benchmarks.population_fleet import TAGS, Row, Sizes, Times, device_id, family
from tests.support.seed import CODES, FIRST_PACKAGE, PROGRAMS

EVERYWHERE = 5  # packages that every computer has; the others share the rest of the assignments
_FIRST_ATTEMPT = 1_700_000_000


def package_id(number: int) -> int:
    return FIRST_PACKAGE + number * 3600


def packages_os(number: int) -> str:
    """Most packages are for every system; one in five for one."""
    return "any" if number <= EVERYWHERE or number % 5 else ("windows", "linux")[number // 5 % 2]


class DeployedRows:
    """Makes the rows of packages, of what became of them, and of groups.

    Args:
        sizes: how many.
        times: in minutes back from now.
    """

    def __init__(self, sizes: Sizes, times: Times) -> None:
        self.sizes = sizes
        self.ago = times.ago

    def packages(self) -> Iterator[Row]:
        count = self.sizes.packages
        for number in range(1, count + 1):
            name = f"{PROGRAMS[number % len(PROGRAMS)]} {number}.{number % 9}"
            size = 20_000 + number * 1_700_000
            yield {
                "id": package_id(number),
                "name": name,
                "name_key": fold(name),
                "description": f"Ticket {4000 + number}",
                "os": packages_os(number),
                "action": ("LAUNCH", "EXECUTE", "STORE")[number % 3],
                "target": "setup.sh",
                "priority": number % 10 + 1,
                "protocol": "HTTP",
                "size": size,
                "file_name": "package.zip",
                "fragments": -(-size // 1_048_576),
                "fragment_size": 1_048_576,
                "digest": "be3aec7c3e6e119f2f2d89b784160b45",
                "digest_algorithm": "MD5",
                "digest_encoding": "Hexa",
                "sha256": "ab" * 32,
                "revision": 1,
                "options": "{}",
                "created_at": self.ago((count - number) * 200),
                "created_by": ("marie", "jan", "admin")[number % 3],
                "deleted_at": None,
                "purged_at": None,
            }

    def activations(self) -> Iterator[Row]:
        for number in range(1, self.sizes.packages + 1):
            yield {
                "id": number,
                "package_id": package_id(number),
                "info_url": "deploy.example.org:8443/download",
                "fragment_url": "deploy.example.org:8080/download",
                "created_at": self.ago(60 * 24 * 20),
                "created_by": "marie",
                "ended_at": None,
            }

    def assignments(self) -> Iterator[Row]:
        """The same mixture of results on every package; group None was assigned directly."""
        dice = random.Random(11)
        codes, weights = zip(*CODES, strict=True)
        classes = {code: int(ResultCode.parse(code).result_class) for code in codes}
        pool = dice.choices(codes, weights, k=9973)  # a prime, so that it fits no period
        minutes = [dice.randrange(60 * 24 * 30) for _ in range(7919)]
        for row, (number, package) in enumerate(self._pairs(), 1):
            status, since = pool[row % len(pool)], self.ago(minutes[row % len(minutes)])
            told = status != "WAITING"
            yield {
                "id": row,
                "computer_id": number,
                "package_id": package_id(package),
                "activation_id": package,
                "group_id": None,
                "attempt": _FIRST_ATTEMPT + row,
                "status": status,
                "status_class": classes[status],
                "since": since,
                "force": False,
                "schedule": "",
                "postcmd": "",
                "assigned_at": since,
                "assigned_by": "marie",
                "notified_at": since if told else None,
                "offered_revision": 1 if told else None,
                "cleared_at": None,
            }

    def _pairs(self) -> Iterator[tuple[int, int]]:
        computers, packages = self.sizes.computers, self.sizes.packages
        for package in range(1, EVERYWHERE + 1):
            yield from zip(range(1, computers + 1), itertools.repeat(package))
        each = 5 * computers // (packages - EVERYWHERE)
        for package in range(EVERYWHERE + 1, packages + 1):
            system = packages_os(package)
            first = package * 7919 % computers
            some = (n for n in _around(first, computers) if system in ("any", family(n)))
            yield from zip(itertools.islice(some, each), itertools.repeat(package))

    def reports(self) -> Iterator[Row]:
        """What arrived: one for every assignment that has ended."""
        for row in self.assignments():
            if row["status_class"] >= ResultClass.SUCCESS:
                yield {
                    "at": row["since"],
                    "device_id": device_id(row["computer_id"]),
                    "computer_name": f"PC-{row['computer_id']:06d}",
                    "package_id": row["package_id"],
                    "package_name": "7-Zip",
                    "revision": 1,
                    "attempt": row["attempt"],
                    "code": row["status"],
                    "result_class": row["status_class"],
                    "assigned_by": "marie",
                    "assigned_at": row["assigned_at"],
                    "counted": True,
                    "note": "",
                }

    def groups(self) -> Iterator[Row]:
        expressions = (
            "os ~ windows", "os ~ linux and memory >= 16384", f"tag = {TAGS[0]}",
            "last_contact > 7d", "software ~ firefox", "model ~ thinkpad and not os ~ linux",
            "software:Firefox > 60", "user = user1*", f"tag in ({TAGS[1]}, {TAGS[2]})",
            "agent ~ tranche",
        )  # fmt: skip
        for number in range(1, self.sizes.groups + 1):
            dynamic = number <= self.sizes.dynamic
            name = f"{'Dynamic' if dynamic else 'Ring'} {number:03d}"
            yield {
                "id": number,
                "name": name,
                "name_key": fold(name),
                "description": "Made for the pilot",
                "kind": "dynamic" if dynamic else "static",
                "expression": expressions[number % len(expressions)] if dynamic else "",
                "visible": not dynamic and number % 2 == 1,
                "created_at": self.ago(60 * 24 * 10),
                "created_by": "marie",
            }

    def members(self) -> Iterator[Row]:
        """Each computer in one static group; a few are kept out of a dynamic one."""
        dynamic, static = self.sizes.dynamic, self.sizes.groups - self.sizes.dynamic
        for number in range(1, self.sizes.computers + 1):
            for group, kind in (
                (dynamic + 1 + number % static, "include"),
                (1 + number % dynamic, "exclude"),
            ):
                if kind == "include" or number % 97 == 0:
                    yield {
                        "group_id": group,
                        "computer_id": number,
                        "kind": kind,
                        "added_at": self.ago(9),
                        "added_by": "marie",
                    }

    def group_assignments(self) -> Iterator[Row]:
        """Every dynamic group and every third static one has a package that all had directly."""
        chosen = [n for n in range(1, self.sizes.groups + 1) if n <= self.sizes.dynamic or n % 3]
        for row, number in enumerate(chosen, 1):
            package = number % EVERYWHERE + 1
            yield {
                "id": row,
                "group_id": number,
                "package_id": package_id(package),
                "activation_id": package,
                "attempt": _FIRST_ATTEMPT,
                "force": False,
                "schedule": "",
                "postcmd": "",
                "assigned_at": self.ago(60 * 24 * 25),
                "assigned_by": "marie",
            }

    def audit(self, last: int, digest: str, count: int = 20_000) -> Iterator[Row]:
        """Entries that follow the last one with its digest."""
        for number in range(last + 1, last + 1 + count):
            row = {
                "number": number,
                "at": self.ago(2 * (last + count - number)),
                "actor": ("marie", "jan")[number % 2],
                "origin": "192.0.2.7",
                "action": ("package.assign", "group.include", "setting.set")[number % 3],
                "target": f"{package_id(number % 200 + 1)}",
                "before": "",
                "after": '{"assigned":5}',
            }
            digest = digest_of(digest, row)
            yield {**row, "digest": digest}


def _around(first: int, count: int) -> Iterator[int]:
    yield from range(first + 1, count + 1)
    yield from range(1, first + 1)
