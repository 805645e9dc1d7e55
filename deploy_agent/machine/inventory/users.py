"""USERS, who is logged in; LOCAL_USERS and LOCAL_GROUPS, who could be. And who was last."""

import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import psutil

from deploy_agent.machine.inventory.host import Host, decoded, section
from deploy_agent.wire.sections import Section

# One record of wtmp on Linux: type, pid, line, id, user, host, exit, session, seconds ...
_WTMP = struct.Struct("=hxxi32s4s32s256s4si2i16s20x")
_USER_PROCESS = 7
_LOOK_BACK = 2000  # records of wtmp that are read from its end


class Login(NamedTuple):
    """Somebody's login."""

    user: str
    at: datetime


def logged_in() -> list[str]:
    """Return who is logged in now, each once."""
    return sorted({user.name for user in psutil.users() if user.name})


def users(host: Host) -> Iterator[Section]:
    """Yield USERS."""
    for name in logged_in():
        yield section("USERS", LOGIN=name)


def local_users(host: Host) -> Iterator[Section]:
    """Yield LOCAL_USERS from /etc/passwd."""
    for words in _database(host, "/etc/passwd", 7):
        login, _, uid, gid, name, home, shell = words
        yield section(
            "LOCAL_USERS",
            GID=gid,
            HOME=home,
            ID_USER=uid,
            LOGIN=login,
            NAME=name.partition(",")[0],
            SHELL=shell,
        )


def local_groups(host: Host) -> Iterator[Section]:
    """Yield LOCAL_GROUPS from /etc/group, with those whose first group it is."""
    first: dict[str, list[str]] = {}
    for login, _, _, gid, *_ in _database(host, "/etc/passwd", 7):
        first.setdefault(gid, []).append(login)
    for name, _, gid, members in _database(host, "/etc/group", 4):
        everybody = {*first.get(gid, []), *filter(None, members.split(","))}
        yield section("LOCAL_GROUPS", ID_GROUP=gid, MEMBER=",".join(sorted(everybody)), NAME=name)


def last_login(host: Host) -> Login | None:
    """Return who logged in last, None where nobody did or nothing says so. Linux."""
    try:
        with host.path("/var/log/wtmp").open("rb") as file:
            length = file.seek(0, 2) // _WTMP.size * _WTMP.size
            file.seek(max(0, length - _LOOK_BACK * _WTMP.size))
            data = file.read(length - file.tell())
    except OSError:
        return None
    for start in range(len(data) - _WTMP.size, -1, -_WTMP.size):
        kind, _, _, _, user, _, _, _, seconds, _, _ = _WTMP.unpack_from(data, start)
        if kind == _USER_PROCESS and user.strip(b"\0"):
            name = decoded(user.split(b"\0")[0])
            return Login(name, datetime.fromtimestamp(seconds & 0xFFFFFFFF, UTC))
    return None


def _database(host: Host, name: str, fields: int) -> Iterator[list[str]]:
    for line in host.lines(name):
        words = line.split(":")
        if len(words) == fields and words[0]:
            yield words
