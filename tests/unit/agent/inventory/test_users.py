"""Who uses a computer, or could."""

import struct

from deploy_agent.machine.inventory import (
    users,
)
from deploy_agent.machine.inventory.host import Host
from tests.unit.agent.inventory.computers import put


def test_local_users_and_groups(host: Host) -> None:
    put(
        host,
        {
            "/etc/passwd": "root:x:0:0:root:/root:/bin/bash\n"
            "amy:x:1000:100:Amy é,,,:/home/amy:/bin/sh\n+::::::\nbroken\n",
            "/etc/group": "root:x:0:\nusers:x:100:zoe,bob\n",
        },
    )
    assert [dict(one.fields) for one in users.local_users(host)][1] == {
        "GID": "100",
        "HOME": "/home/amy",
        "ID_USER": "1000",
        "LOGIN": "amy",
        "NAME": "Amy é",
        "SHELL": "/bin/sh",
    }
    assert dict(next(users.local_users(host)).fields)["ID_USER"] == "0"
    assert [dict(one.fields)["MEMBER"] for one in users.local_groups(host)] == [
        "root",
        "amy,bob,zoe",
    ]


def wtmp_record(kind: int, user: bytes, seconds: int) -> bytes:
    return struct.pack(
        "=hxxi32s4s32s256s4si2i16s20x", kind, 1, b"tty1", b"1", user, b"", b"", 0, seconds, 0, b""
    )


def test_last_login(host: Host) -> None:
    assert users.last_login(host) is None
    records = [wtmp_record(7, b"amy", 100), wtmp_record(7, b"zo\xe9", 200), wtmp_record(8, b"", 9)]
    put(host, {"/var/log/wtmp": b"".join(records) + b"cut"})
    login = users.last_login(host)
    assert login is not None
    assert (login.user, login.at.timestamp()) == ("zo\ufffd", 200)
    put(host, {"/var/log/wtmp": b"".join(records[2:])})
    assert users.last_login(host) is None
