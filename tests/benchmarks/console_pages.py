"""The pages of the console that a large installation must not slow down, as addresses."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from deploy_server.services import computers, package_list
from deploy_server.services.stuck import Kind
from tests.benchmarks.population_deployed import EVERYWHERE, package_id
from tests.benchmarks.population_fleet import Sizes

#: Rows of a page; where a list has others, its pages are counted by their own size.
_ROWS = 50

#: As people write them: words, software, groups, tags, times, results, and all of it mixed.
SEARCHES = (
    "name = PC-004711",
    "name ~ 471",
    "os ~ windows",
    "user = user12*",
    "serial = SN000004711",
    "ip = 10.0.18.103",
    "mac ~ 02:00:00:00:12",
    "tag = SITE-03",
    "tag in (SITE-03, SITE-04) and memory >= 16384",
    "last_contact > 7d",
    "last_contact is empty",
    "software ~ firefox",
    "software:Firefox > 60",
    "software:VLC is empty",
    "not software ~ chrome and os ~ linux",
    'group = "Ring 100"',
    'group ~ "Ring 1"',
    'group = "Dynamic 004"',
    "group is empty",
    f"package:{package_id(1)} = error",
    f"package:{package_id(2)} = success",
    f"package:{package_id(3)} = waiting",
    f"package:{package_id(100)} = none",
    f"package:{package_id(1)} = ERR_BAD_DIGEST",
    f"package:{package_id(1)} = error and (os ~ windows or tag = SITE-05) and not memory < 8192",
    f'software:Firefox > 60 and group = "Dynamic 003" and package:{package_id(2)} = success',
)


@dataclass(frozen=True)
class Page:
    """An address and what it shows; `stream` where it is a file that is sent while it is read."""

    label: str
    path: str
    stream: bool = False


def pages(sizes: Sizes) -> Iterator[Page]:
    """Every one, for a population of this size."""
    yield from _overview(sizes)
    yield from _computers(sizes)
    yield from _packages(sizes)
    yield from _groups(sizes)
    yield from _other(sizes)
    yield from _exports()


def _overview(sizes: Sizes) -> Iterator[Page]:
    yield Page("overview", "/")
    yield Page("overview: under way", "/progress")
    failed = 7 * sizes.assignments // 100 // 4  # of a week
    for place, number in _three(failed):
        yield Page(f"failures, {place} page", _path("/failures", page=number))
    yield Page("failures with a code", _path("/failures", code="ERR_BAD_DIGEST"))
    yield Page("stuck: wait for overdue", _path("/stuck", kind=Kind.OUT_OF_REACH))
    yield Page("stuck: told, overdue", _path("/stuck", kind=Kind.LOST))
    yield Page("stuck: told, silent", _path("/stuck", kind=Kind.SILENT))
    for place, number in _three(55 * sizes.assignments // 1000, 20)[1:]:
        path = _path("/stuck", kind=Kind.SILENT, page=number)
        yield Page(f"stuck: told, silent, {place} page", path)


def _computers(sizes: Sizes) -> Iterator[Page]:
    for sort in computers.SORTS:
        for place, number in _three(sizes.computers):
            path = _path("/computers", sort=sort, page=number)
            yield Page(f"computers by {sort}, {place} page", path)
    for sort in ("name", "last_contact", "memory"):
        path = _path("/computers", sort=sort, desc=1, page=_three(sizes.computers)[1][1])
        yield Page(f"computers by {sort} downwards, middle page", path)
    for expression in SEARCHES:
        yield Page(f"search {expression}", _path("/computers", q=expression))
    for sort in ("last_contact", "memory"):
        path = _path("/computers", q="os ~ windows", sort=sort, page=100)
        yield Page(f"search os ~ windows by {sort}, page 100", path)
    for tab in ("deployments", "inventory", "software", "history", "groups", "settings"):
        yield Page(f"computer, {tab}", _path("/computers/4711", tab=tab))
    for likeness in ("serial", "mac", "name", "chosen"):
        yield Page(f"duplicates by {likeness}", _path("/computers/duplicates", by=likeness))

    for which, expression in (("a search", "os ~ windows"), ("everybody", "")):
        path = _path("/computers/unassign", q=expression, whole=1)
        yield Page(f"packages to take back, {which}", path)
    yield Page("refused agents", "/computers/refused")


def _packages(sizes: Sizes) -> Iterator[Page]:
    yield Page("packages", "/packages")
    for sort in package_list.SORTS:
        path = _path("/packages", sort=sort, desc=1, page=_three(sizes.packages)[1][1])
        yield Page(f"packages by {sort}, middle page", path)
    yield Page("packages with a word", _path("/packages", q="firefox"))
    yield Page("packages, deleted", _path("/packages", deleted=1))
    big, small = package_id(1), package_id(EVERYWHERE + 3)
    yield Page("package of the whole fleet", f"/packages/{big}")
    yield Page("package of some", f"/packages/{small}")
    yield Page("its counts", f"/packages/{big}/counts")
    results = f"/packages/{big}/results"
    for place, number in _three(sizes.computers):
        yield Page(f"its results, {place} page", _path(results, page=number))
    for which in ("success", "error", "notified", "waiting"):
        number = 3 * (sizes.computers >= 5000) + 1
        yield Page(f"its results, {which}", _path(results, **{"class": which, "page": number}))
    yield Page("its results with a status", _path(results, status="ERR_BAD_DIGEST"))
    yield Page("its results of a group", _path(results, group="Dynamic 005"))
    yield Page("its results over time", f"{results}/time")
    yield Page("its results by group", f"{results}/groups")
    yield Page("its deletion, asked", _path("/packages/delete", package=big))


def _groups(sizes: Sizes) -> Iterator[Page]:
    yield Page("groups", "/groups")
    for place, number in _three(sizes.computers // 3):
        yield Page(f"dynamic group, {place} page", _path("/groups/10", page=number))
    yield Page("dynamic group of a result", "/groups/4")
    yield Page("static group", f"/groups/{sizes.dynamic + 4}")
    yield Page("group by last_contact", _path("/groups/10", sort="last_contact"))
    yield Page("group to choose", _path("/groups/choose", q="os ~ windows", whole=1))


def _other(sizes: Sizes) -> Iterator[Page]:
    yield Page("deploy", "/deploy")
    yield Page("deploy, a search", _path("/deploy", activation=1, q="os ~ windows"))
    yield Page("deploy, everybody", _path("/deploy", activation=2, target="all"))
    yield Page("deploy, a dynamic group", _path("/deploy", activation=2, group=10))
    yield Page("deploy, a static group", _path("/deploy", activation=3, group=sizes.dynamic + 4))
    yield Page("completion of a tag", _path("/searches/complete", q="tag = SITE"))
    yield Page("completion of software", _path("/searches/complete", q="software ~ fire"))
    yield Page("completion of a name", _path("/searches/complete", q="name = PC-00"))
    for place, number in _three(20_000):
        yield Page(f"audit, {place} page", _path("/audit", page=number))
    yield Page("audit of an action", _path("/audit", action="setting.set"))
    yield Page("settings", "/settings")


def _exports() -> Iterator[Page]:
    yield Page("computers as CSV", "/computers/export", stream=True)
    yield Page("a search as CSV", _path("/computers/export", q="os ~ windows"), stream=True)
    yield Page("results as CSV", f"/packages/{package_id(1)}/results/export", stream=True)
    yield Page("packages as CSV", "/packages/csv", stream=True)
    yield Page("audit as CSV", "/audit/export", stream=True)


def _three(rows: int, size: int = _ROWS) -> list[tuple[str, int]]:
    """Names and numbers of the first, the middle and the last page."""
    last = max(1, rows // size)
    return [("first", 1), ("middle", -(-last // 2)), ("last", last)]


def _path(path: str, **arguments: object) -> str:
    return f"{path}?{urlencode(arguments)}"
