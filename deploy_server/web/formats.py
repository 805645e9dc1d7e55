"""How numbers, sizes, times and statuses are written on pages.

Text from agents and people is cut here for where there is little room; escaping is Jinja's, on
everywhere.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from flask import Flask
from markupsafe import Markup, escape

from deploy_agent.wire.result import WAITING, ResultClass, ResultCode
from deploy_agent.wire.terms import Action
from deploy_server.domain.search.writing import quoted
from deploy_server.domain.spec import OS_NAMES
from deploy_server.storage.types import utc_text

OS_LABELS = {**OS_NAMES, "": "Not known yet"}

#: What the seed's manual calls the actions.
ACTION_LABELS = {
    Action.LAUNCH: "Execute a file",
    Action.EXECUTE: "Execute a command",
    Action.STORE: "Store",
}

#: Sections of inventories whose element says little to people.
SECTION_LABELS = {
    "ACCESSLOG": "Last access",
    "ACCOUNTINFO": "Account information",
    "BIOS": "BIOS and model",
    "CPUS": "Processors",
    "DRIVES": "Drives",
    "HARDWARE": "Hardware and system",
    "LOCAL_USERS": "Local users",
    "STORAGES": "Storage",
    "USBDEVICES": "USB devices",
    "VIDEOS": "Graphics",
    "VIRTUALMACHINES": "Virtual machines",
}

#: The name of each class in pages, addresses and style sheets.
CLASS_NAMES = {
    ResultClass.WAITING: "waiting",
    ResultClass.NOTIFIED: "notified",
    ResultClass.SUCCESS: "success",
    ResultClass.ERROR: "error",
}

SENTENCE_MAX = 1000  # characters

_MOMENT = re.compile(r"\b([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}) UTC\b", re.ASCII)
_BETWEEN_ATTRIBUTES = re.compile(r'" (?=[A-Z_0-9]+=")')
_DIRECTIONS = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))
# Each calls itself by the names of those before it, so the last ones come first.
_BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iOS"),
    ("iPad", "iOS"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True)
class ChartSlice:
    """A part of a chart: percentages of the whole.

    Attributes:
        label: for people.
        kind: a class of the style sheets.
        count: computers.
        start: where it begins.
        share: how much it takes.
    """

    label: str
    kind: str
    count: int
    start: float
    share: float


def defused(cell: str) -> str:
    """Return a cell of a CSV file that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def csv_line(cells: Iterable[str]) -> str:
    """Return a line of a CSV file."""
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue()


def init_formats(app: Flask) -> None:
    """Give templates these filters."""
    app.jinja_env.filters.update(
        action_label=lambda action: ACTION_LABELS.get(action, action),
        browser_label=browser_label,
        bytes=size_text,
        class_name=CLASS_NAMES.__getitem__,
        duration=duration_text,
        info_lines=info_lines,
        iso=utc_text,
        kind=kind_of,
        number=lambda number: f"{number:,}",
        os_label=lambda family: OS_LABELS.get(family, family),
        plural=plural,
        quoted=quoted,
        section_label=lambda name: SECTION_LABELS.get(name, name.replace("_", " ").capitalize()),
        sentence=sentence,
        short_number=short_number,
        shorten=shorten,
        tail=tail,
        timed=timed,
        visible_lines=visible_lines,
        status_label=lambda status: "WAITING NOTIFICATION" if status == WAITING else status,
        utc=lambda moment: f"{moment:%Y-%m-%d %H:%M:%S} UTC",
    )


def browser_label(agent: str) -> str:
    """A browser by the name that people know: Firefox on Windows; else what it says of itself."""
    name = next((label for mark, label in _BROWSERS if mark in agent), "")
    system = next((label for mark, label in _SYSTEMS if mark in agent), "")
    return f"{name} on {system}" if name and system else agent or "A browser without a name"


def size_text(size: int) -> str:
    """Bytes for people: 999 B, 1.5 KiB, 20 MiB."""
    value = float(size)
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            break
        value /= 1024
    digits = 0 if unit == "B" or value >= 100 or value == int(value) else 1
    return f"{value:,.{digits}f} {unit}"


def info_lines(text: str) -> str:
    """An info file with one attribute in a line; nothing else is changed."""
    return _BETWEEN_ATTRIBUTES.sub('"\n  ', text)


def short_number(number: int) -> str:
    """A number for where there is little room: 999, 12k, 1.2M."""
    for limit, unit in ((1_000_000, "M"), (10_000, "k")):
        if number >= limit:
            value = number / (1_000_000 if unit == "M" else 1000)
            return f"{value:.1f}".removesuffix(".0") + unit if value < 100 else f"{value:.0f}{unit}"
    return f"{number:,}"


def duration_text(seconds: float) -> str:
    """A duration for people, in its two largest units: 45 s, 3 min, 8 h 36 min, 2 days 4 h."""
    total = round(seconds)
    if total < 60:
        return f"{total} s"
    minutes = round(total / 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "days" if days != 1 else "day"), (hours, "h"), (minutes, "min")]
    said = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join(said[:2])


def plural(number: int, one: str, many: str = "") -> str:
    """The number with its noun: 1 computer, 1,204 computers."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def sentence(text: str) -> str:
    """The text as a sentence: a capital first, a full stop last, as long as a page takes."""
    text = shorten(text.strip(), SENTENCE_MAX)
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?:" else ".")


def timed(text: str) -> Markup:
    """The text as HTML, with its moments as such, which the page shows in the reader's zone."""
    return Markup("").join(
        _time(each) if place % 2 else each for place, each in enumerate(_MOMENT.split(text))
    )


def _time(text: str) -> Markup:
    try:
        moment = datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    except ValueError:  # an agent's words look like a moment, and are none
        return escape(f"{text} UTC")
    address = utc_text(moment)
    return Markup('<time datetime="{}" data-absolute="hour">{} UTC</time>').format(address, text)


def shorten(text: str, length: int) -> str:
    """At most `length` characters of `text` on one line, shown in the order in which they stand.

    Control characters become blanks; those that turn the direction of writing show as �, because
    they make exe.png of gnp.exe.
    """
    line = "".join(_visible(each) for each in text[:length])
    return line if len(text) <= length else line + "…"


def visible_lines(text: str) -> str:
    """All of `text` with its lines; of other control characters nothing is left but a blank."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(each if each in "\n\t" else _visible(each) for each in plain)


def tail(text: str, length: int) -> str:
    """The last `length` characters of a text with its lines."""
    return visible_lines(text[-length:])


def _visible(character: str) -> str:
    if character in _DIRECTIONS:
        return "\ufffd"
    return " " if unicodedata.category(character) == "Cc" else character


def kind_of(status: str) -> str:
    """The style class of a status; those that were there before have one of their own."""
    code = ResultCode.parse(status)
    return "already" if code.is_already else CLASS_NAMES[code.result_class]


def slices(counts: Iterable[tuple[str, str, int]]) -> list[ChartSlice]:
    """Parts of a chart from (label, kind, count); empty ones are left out."""
    found = [each for each in counts if each[2]]
    total = sum(count for _, _, count in found)
    result: list[ChartSlice] = []
    start = 0.0
    for label, kind, count in found:
        share = round(100 * count / total, 3)
        result.append(ChartSlice(label, kind, count, round(start, 3), share))
        start += share
    return result


def class_slices(by_class: Mapping[ResultClass, int], already: int = 0) -> list[ChartSlice]:
    """The four classes as parts of a chart, with what was there before apart from success."""
    order = (ResultClass.SUCCESS, ResultClass.ERROR, ResultClass.NOTIFIED, ResultClass.WAITING)
    counts = {which: by_class.get(which, 0) for which in order}
    counts[ResultClass.SUCCESS] -= already
    named = [(name.capitalize(), name, counts[which]) for which, name in _named(order)]
    return slices([named[0], ("Was there before", "already", already), *named[1:]])


def _named(order: Iterable[ResultClass]) -> Iterable[tuple[ResultClass, str]]:
    return ((which, CLASS_NAMES[which]) for which in order)
