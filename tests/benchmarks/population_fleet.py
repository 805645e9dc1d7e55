"""The rows of a large fleet, as databases take them: computers and their inventories.

Everything follows from the numbers of computers and packages, so two populations of one size are
equal, and a computer of a large one has what a computer of a small one has.
"""

import hashlib
import json
import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from deploy_server.domain.version import version_key
from deploy_server.storage.models import SoftwareItem
from deploy_server.storage.types import fold, utc_text
from tests.support.seed import MODELS, PROGRAMS, SYSTEMS

Row = dict[str, Any]

OURS = "OCS-NG_unified_unix_agent_v2.0 Tranche/1.0"
AGENTS = {
    "windows": ("OCS-NG_WINDOWS_AGENT_v2.10.1.0", "OCS-NG_WINDOWS_AGENT_v2.9.2.0", OURS),
    "linux": ("OCS-NG_unified_unix_agent_v2.10.0", OURS, OURS),
    "macos": ("OCS-NG_unified_unix_agent_v2.10.0", "OCS-NG_unified_unix_agent_v2.8.1", OURS),
}
TAGS = tuple(f"SITE-{number:02d}" for number in range(1, 25))
ITEMS_OF_A_SET = 300


@dataclass(frozen=True)
class Sizes:
    """How much there is of everything; the rest follows from the computers."""

    computers: int
    packages: int = 200
    groups: int = 200
    dynamic: int = 20
    sets: int = 500

    @property
    def assignments(self) -> int:
        return 10 * self.computers


def device_id(number: int) -> str:
    return f"PC-{number:06d}-2024-05-06-07-08-09"


def family(number: int) -> str:
    return SYSTEMS[number % len(SYSTEMS)][0]


def agent(number: int) -> str:
    return AGENTS[family(number)][number // len(SYSTEMS) % 3]


class Times:
    """Texts of the minutes of a month back from now: making each anew takes longer than its row."""

    def __init__(self, now: datetime) -> None:
        self._minutes = [utc_text(now - timedelta(minutes=each)) for each in range(60 * 24 * 31)]

    def ago(self, minutes: int) -> str:
        return self._minutes[min(minutes, len(self._minutes) - 1)]


class FleetRows:
    """Makes the rows of computers.

    Args:
        sizes: how many.
        times: in minutes back from now.
    """

    def __init__(self, sizes: Sizes, times: Times) -> None:
        self.sizes = sizes
        self.ago = times.ago

    def software(self) -> Iterator[tuple[str, Iterator[Row]]]:
        """Items, sets, and which items each set has."""
        items = max(ITEMS_OF_A_SET, 10 * self.sizes.sets)
        yield "software_item", (self._item(number) for number in range(1, items + 1))
        yield (
            "software_set",
            (
                {"id": number, "digest": _digest(f"set {number}"), "size": ITEMS_OF_A_SET}
                for number in range(1, self.sizes.sets + 1)
            ),
        )
        dice = random.Random(3)
        yield (
            "software_set_item",
            (
                {"set_id": number, "item_id": item}
                for number in range(1, self.sizes.sets + 1)
                for item in sorted(dice.sample(range(1, items + 1), ITEMS_OF_A_SET))
            ),
        )

    @staticmethod
    def _item(number: int) -> Row:
        name = f"{PROGRAMS[number % len(PROGRAMS)]} {number // 24}".removesuffix(" 0")
        version = f"{number % 130}.{number % 7}"
        return {
            "id": number,
            "digest": _digest(f"item {number}"),
            **_folded(SoftwareItem, name=name, version=version),
            "version_sort": version_key(version),
            "publisher": f"Publisher {number % 90}",
        }

    def computers(self) -> Iterator[Row]:
        dice = random.Random(5)
        for number in range(1, self.sizes.computers + 1):
            _, system, version = SYSTEMS[number % len(SYSTEMS)]
            texts = {
                "device_id": device_id(number),
                "name": f"PC-{number:06d}",
                "tag": TAGS[number * 7 // 3 % len(TAGS)],
                "os": system,
                "os_version": version,
                "arch": "x86_64",
                "user": f"user{number % 7000}",
                "workgroup": f"DEPT{number % 40}",
                # Every five hundredth has the serial number of the one before.
                "serial": f"SN{number - (number % 500 == 0):09d}",
                "model": MODELS[number % len(MODELS)],
                "agent": agent(number),
            }
            contact = self._contact(number, dice)
            yield {
                **texts,
                **{f"{name}_key": fold(text) for name, text in texts.items()},
                "id": number,
                "os_family": family(number),
                "os_version_sort": version_key(version),
                "memory": (4096, 8192, 16384, 32768)[number % 4],
                "ip": _ip(number),
                "created_at": self.ago(60 * 24 * 30),
                "last_contact": contact,
                "last_inventory": contact,
                "history_digest": None,
                "software_set_id": number % self.sizes.sets + 1,
            }

    def _contact(self, number: int, dice: random.Random) -> str | None:
        """Most were heard of today, one in twenty is silent for days, one in a hundred never was.

        The first ones were, just now: those are asked again and want no inventory.
        """
        if number <= 1000:
            return self.ago(5)
        if number % 100 == 0:
            return None
        return self.ago(dice.randrange(60 * 24 * (30 if number % 20 == 1 else 1)))

    def addresses(self) -> Iterator[Row]:
        for number in range(1, self.sizes.computers + 1):
            mac = f"02:00:{number >> 24 & 255:02x}:{number >> 16 & 255:02x}"
            mac = f"{mac}:{number >> 8 & 255:02x}:{(number - (number % 400 == 0)) & 255:02x}"
            for kind, value in (("ip", _ip(number)), ("mac", mac)):
                yield {"computer_id": number, "kind": kind, "value_key": value, "value": value}

    def sections(self) -> Iterator[tuple[str, Iterator[Row]]]:
        """Contents that computers share, and which each has."""
        names = ("HARDWARE", "BIOS", "DRIVES")
        content = zlib.compress(json.dumps([[["NAME", "value"], ["TYPE", "/"]]]).encode())
        count = self.sizes.sets
        yield (
            "section_content",
            (
                {"id": number, "digest": _digest(f"section {number}"), "content": content}
                for number in range(1, count + 1)
            ),
        )
        yield (
            "computer_section",
            (
                {"computer_id": number, "name": name, "content_id": (number + place) % count + 1}
                for number in range(1, self.sizes.computers + 1)
                for place, name in enumerate(names)
            ),
        )


def _folded(model: Any, **texts: str) -> Row:
    keys = {f"{name}_key": fold(text) for name, text in texts.items()}
    return texts | {name: key for name, key in keys.items() if name in model.__table__.columns}


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _ip(number: int) -> str:
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
