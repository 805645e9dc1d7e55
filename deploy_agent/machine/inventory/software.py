"""SOFTWARES: the packages that dpkg and rpm know."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from deploy_agent.machine.inventory.host import Host, decoded, section
from deploy_agent.wire.sections import Section

KIB = 1024
_FIELD, _RECORD = "\x1f", "\x1e"  # bytes that no description has
_DPKG = (
    "${db:Status-Status}",
    "${binary:Package}",
    "${Version}",
    "${Architecture}",
    "${Installed-Size}",
    "${db-fsys:Last-Modified}",
    "${Homepage}",
    "${binary:Summary}",
)
_RPM = (
    "%{NAME}",
    "%{VERSION}-%{RELEASE}",
    "%{ARCH}",
    "%{LONGSIZE}",
    "%{INSTALLTIME}",
    "%{VENDOR}",
    "%{SUMMARY}",
)


def softwares(host: Host) -> Iterator[Section]:
    """Yield SOFTWARES of both package managers; one that is not here has none."""
    yield from _debs(host)
    yield from _rpms(host)


def _debs(host: Host) -> Iterator[Section]:
    database = host.path("/var/lib/dpkg")
    if not (database / "status").exists():
        return
    form = _FIELD.join(_DPKG) + _RECORD
    output = host.run(["dpkg-query", f"--admindir={database}", "--show", f"--showformat={form}"])
    for words in _records(output, len(_DPKG)):
        status, name, version, architecture, size, modified, homepage, summary = words
        if status != "installed":  # removed ones keep their configuration
            continue
        yield section(
            "SOFTWARES",
            ARCHITECTURE=architecture,
            COMMENTS=summary,
            FILESIZE=int(size) * KIB if size.isdecimal() else None,
            FROM="deb",
            INSTALLDATE=_date(modified),
            NAME=name,
            PUBLISHER=homepage,
            VERSION=version,
        )


def _rpms(host: Host) -> Iterator[Section]:
    if not any(host.names(f"{place}/lib/rpm") for place in ("/var", "/usr")):
        return
    elsewhere = [] if host.root == Path("/") else [f"--root={host.root}"]
    form = _FIELD.join(_RPM) + _RECORD
    try:
        output = host.run(["rpm", *elsewhere, "--query", "--all", f"--queryformat={form}"])
    except FileNotFoundError:  # other programs keep files there, too
        return
    for words in _records(output, len(_RPM)):
        name, version, architecture, size, installed, vendor, summary = words
        if name == "gpg-pubkey":  # a key, no software
            continue
        yield section(
            "SOFTWARES",
            ARCHITECTURE=architecture,
            COMMENTS=summary,
            FILESIZE=size if size.isdecimal() else None,
            FROM="rpm",
            INSTALLDATE=_date(installed),
            NAME=name,
            PUBLISHER=vendor if vendor != "(none)" else None,
            VERSION=version,
        )


def _records(output: bytes, fields: int) -> Iterator[list[str]]:
    for record in decoded(output).split(_RECORD):
        words = [word.strip() for word in record.split(_FIELD)]
        if len(words) == fields and words[1]:
            yield words


def _date(seconds: str) -> str | None:
    """Return a time as OCS's agents write it: of this computer, 2026/11/21 10:15:01."""
    try:
        time = datetime.fromtimestamp(int(seconds), UTC).astimezone()
    except (ValueError, OverflowError, OSError):
        return None
    return time.strftime("%Y/%m/%d %H:%M:%S")
