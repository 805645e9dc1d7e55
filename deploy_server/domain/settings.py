"""The table of options, OCS's and ours, and how the values of several scopes become one.

Pure; the rows are services/settings.py's. Defaults: contract.md 4. Combination: features.md 1.3
and 1.4, with 0 as a value everywhere.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from deploy_agent.wire.replies import DownloadSettings
from deploy_server.domain.agents import refusal
from deploy_server.domain.errors import SpecError
from deploy_server.domain.options import GLOBAL, Combine, Kind, Option

_YEAR_S = 31_536_000
_YEAR_MIN = 525_600
_YEAR_H = 8_760

OPTIONS = (
    Option(
        "DOWNLOAD",
        "1",
        "Deployment is switched on. Off: agents keep what they have and fetch and run nothing.",
        Kind.SWITCH,
        combine=Combine.SWITCH,
        aliases=("DOWNLOAD_SWITCH",),
    ),
    Option(
        "DOWNLOAD_FRAG_LATENCY",
        "10",
        "How long an agent waits after each fragment.",
        unit="s",
        maximum=_YEAR_S,
        combine=Combine.LARGEST,
        aliases=("FRAG_LATENCY",),
    ),
    Option(
        "DOWNLOAD_CYCLE_LATENCY",
        "60",
        "How long an agent waits after each cycle, a pass over its packages.",
        unit="s",
        maximum=_YEAR_S,
        combine=Combine.LARGEST,
        aliases=("CYCLE_LATENCY",),
    ),
    Option(
        "DOWNLOAD_PERIOD_LATENCY",
        "0",
        "How long an agent waits after each period.",
        unit="s",
        maximum=_YEAR_S,
        combine=Combine.LARGEST,
        aliases=("PERIOD_LATENCY",),
    ),
    Option(
        "DOWNLOAD_PERIOD_LENGTH",
        "10",
        "How many cycles a period has. A package whose priority is above it is never fetched.",
        unit="cycles",
        minimum=1,
        maximum=1000,
        aliases=("PERIOD_LENGTH",),
    ),
    Option(
        "DOWNLOAD_TIMEOUT",
        "30",
        "How long a package may take on a computer before it ends as ERR_TIMEOUT.",
        unit="days",
        minimum=1,
        maximum=36_500,
        aliases=("TIMEOUT",),
    ),
    Option(
        "DOWNLOAD_EXECUTION_TIMEOUT",
        "120",
        "How long a program of a package may run before it is stopped; 0 is no limit.",
        unit="min",
        maximum=_YEAR_MIN,
        combine=Combine.LIMIT,
        aliases=("EXECUTION_TIMEOUT",),
    ),
    Option(
        "DOWNLOAD_GROUPS_TRACE_EVENTS",
        "1",
        "Packages of groups get a result for each computer. Off: they are offered without one.",
        Kind.SWITCH,
        scopes=(GLOBAL,),
        aliases=("GROUPS_TRACE",),
        warnings={"0": "Results of packages that come through groups are no longer counted."},
    ),
    Option(
        "DOWNLOAD_URI_INFO",
        "",
        "Where info files are, when an activation does not say; empty is this server.",
        Kind.LOCATION,
        scopes=(GLOBAL,),
        schemes=("https",),
    ),
    Option(
        "DOWNLOAD_URI_FRAG",
        "",
        "Where fragments are, when an activation does not say; empty is this server.",
        Kind.LOCATION,
        scopes=(GLOBAL,),
        schemes=("http", "https"),
    ),
    Option(
        "DOWNLOAD_PROTOCOL",
        "HTTP",
        "How agents fetch the fragments of a new package, when its build does not say.",
        Kind.CHOICE,
        choices=("HTTP", "HTTPS"),
        scopes=(GLOBAL,),
    ),
    Option(
        "DOWNLOAD_AUTO_ACTIVATE",
        "0",
        "A package that was built is activated at once at the addresses above, if an agent would"
        " find it there. Nobody gets it before it is assigned.",
        Kind.SWITCH,
        scopes=(GLOBAL,),
    ),
    Option(
        "DOWNLOAD_ACTIVATE_FRAG",
        "0",
        "Cut packages into equal fragments by DOWNLOAD_RATIO_FRAG, when a build does not say how."
        " Off: into fragments of 1 MiB.",
        Kind.SWITCH,
        scopes=(GLOBAL,),
    ),
    Option(
        "DOWNLOAD_RATIO_FRAG",
        "1",
        "The largest fragment, where DOWNLOAD_ACTIVATE_FRAG is on.",
        unit="MiB",
        minimum=1,
        maximum=1024 * 1024,
        scopes=(GLOBAL,),
    ),
    Option(
        "PROLOG_FREQ",
        "24",
        "How often agents of OCS contact the server.",
        unit="h",
        minimum=1,
        maximum=_YEAR_H,
    ),
    Option(
        "CONTACT_MINUTES",
        "60",
        "How often our own agents contact the server.",
        unit="min",
        minimum=1,
        maximum=_YEAR_MIN,
    ),
    Option(
        "FREQUENCY",
        "1",
        "How old an inventory may be before an agent sends a new one; 0 asks at every contact.",
        unit="days",
        minimum=-1,
        maximum=36_500,
        combine=Combine.FREQUENCY,
        warnings={
            "-1": "No inventories, and with OCS's wire no deployment either: agents get no package"
            " at all."
        },
    ),
    Option(
        "INVENTORY_ON_STARTUP",
        "1",
        "OCS's Windows service sends an inventory when it starts.",
        Kind.SWITCH,
        combine=Combine.LARGEST,
    ),
    Option(
        "ENABLE_GROUPS",
        "1",
        "Groups give their members packages and settings.",
        Kind.SWITCH,
        scopes=(GLOBAL,),
        aliases=("GROUPS",),
    ),
    Option(
        "EVENTS_DAYS",
        "90",
        "How long is kept what our own agents say of a package that has ended, its output above"
        " all.",
        unit="days",
        minimum=1,
        maximum=36_500,
        scopes=(GLOBAL,),
    ),
    Option(
        "RESULTS_DAYS",
        "0",
        "How long the history of results is kept; 0 keeps it for ever. How far a package is on a"
        " computer stays known.",
        unit="days",
        minimum=0,
        maximum=36_500,
        scopes=(GLOBAL,),
    ),
    Option(
        "AUDIT_DAYS",
        "0",
        "How long the audit log is kept; 0 keeps it for ever.",
        unit="days",
        minimum=0,
        maximum=36_500,
        scopes=(GLOBAL,),
    ),
    Option(
        "AGENTS_OVER_HTTP",
        "0",
        "Agents may report over plain HTTP, where anybody on the way can read and change it.",
        Kind.SWITCH,
        scopes=(GLOBAL,),
        warnings={
            "1": "Over plain HTTP anybody on the way can read and change what agents and server"
            " tell each other."
        },
    ),
    Option(
        "AGENTS_ALLOWED",
        "",
        "Further agents by their User-Agent, one pattern in each line; * stands for anything.",
        Kind.TEXT,
        scopes=(GLOBAL,),
    ),
    Option(
        "AGENTS_ONLY_LISTED",
        "0",
        "Only agents that AGENTS_ALLOWED names are served. Off: those of OCS, FusionInventory and"
        " GLPI and our own are served too.",
        Kind.SWITCH,
        scopes=(GLOBAL,),
        warnings={"1": "Whatever AGENTS_ALLOWED does not name is refused: our own agents too."},
    ),
    Option(
        "AGENTS_VERSIONS",
        "",
        "Which versions agents must have, a rule in each line: OCS-NG_unified_unix_agent* >= 2.4."
        " Several rules for one name must all hold.",
        Kind.VERSIONS,
        scopes=(GLOBAL,),
    ),
    Option(
        "SECURITY_PASSWORD_MIN_CHAR",
        "8",
        "How long new passwords of people must be; those that are guessed first are never taken.",
        minimum=8,
        maximum=16,
        scopes=(GLOBAL,),
    ),
    Option(
        "AUTO_DUPLICATE_LVL",
        "7",
        "What look-alikes must all share: 1 name, 2 serial number, 4 network card, 8 model, added"
        " up. They are listed; people merge them.",
        minimum=1,
        maximum=15,
        scopes=(GLOBAL,),
    ),
    Option(
        "BLACKLIST_SERIALS",
        "",
        "Serial numbers that say nothing, one in each line; * stands for anything.",
        Kind.TEXT,
        scopes=(GLOBAL,),
    ),
    Option(
        "BLACKLIST_MACADDRESSES",
        "",
        "Network cards that many computers have, such as docks, as BLACKLIST_SERIALS.",
        Kind.TEXT,
        scopes=(GLOBAL,),
    ),
)

_BY_NAME = {name: option for option in OPTIONS for name in (option.name, *option.aliases)}


def find_option(name: str) -> Option:
    """Return the option of this name or alias, in any case.

    Raises:
        SpecError: field `name`.
    """
    option = _BY_NAME.get(name.strip().upper())
    if option is None:
        raise SpecError(
            "name", f"there is no setting {name[:60]!r}", "Names: deploy-server setting list"
        )
    return option


@dataclass(frozen=True, slots=True)
class GroupValues:
    """What one group of a computer says.

    Attributes:
        name: of the group.
        values: by the option's name.
    """

    name: str
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Effective:
    """What counts for one computer.

    Attributes:
        values: every option by name.
        origins: where each value comes from: `computer`, `group NAME`, `global` or `default`.
    """

    values: Mapping[str, str]
    origins: Mapping[str, str]

    def number(self, name: str) -> int:
        """Return the value of a number or switch."""
        return int(self.values[name])

    def is_on(self, name: str) -> bool:
        """Return whether a switch is on."""
        return self.values[name] == "1"

    def refusal(self, user_agent: str) -> str:
        """Return why an agent is refused that is known by its name; '' is welcome."""
        versions = self.values["AGENTS_VERSIONS"]
        only_listed = self.values["AGENTS_ONLY_LISTED"] == "1"
        if not versions and not only_listed:
            return ""
        allowed = self.values["AGENTS_ALLOWED"]
        return refusal(user_agent, only_listed=only_listed, allowed=allowed, versions=versions)

    def download(self) -> DownloadSettings:
        """Return the CONF of a PROLOG reply."""
        return DownloadSettings(
            on=self.is_on("DOWNLOAD"),
            frag_latency_s=self.number("DOWNLOAD_FRAG_LATENCY"),
            cycle_latency_s=self.number("DOWNLOAD_CYCLE_LATENCY"),
            period_latency_s=self.number("DOWNLOAD_PERIOD_LATENCY"),
            period_length=self.number("DOWNLOAD_PERIOD_LENGTH"),
            timeout_days=self.number("DOWNLOAD_TIMEOUT"),
            execution_timeout_min=self.number("DOWNLOAD_EXECUTION_TIMEOUT"),
        )


def resolve(
    everybody: Mapping[str, str],
    groups: Sequence[GroupValues] = (),
    computer: Mapping[str, str] | None = None,
) -> Effective:
    """Return what counts where all three have values; the stricter group wins."""
    values, origins = {}, {}
    for option in OPTIONS:
        own = (computer or {}).get(option.name)
        shared = [(group.values[option.name], f"group {group.name}") for group in groups
                  if option.name in group.values]  # fmt: skip
        given = everybody.get(option.name)
        base = (option.default, "default") if given is None else (given, "global")
        values[option.name], origins[option.name] = _choose(option, base, shared, own)
    return Effective(values, origins)


_Sourced = tuple[str, str]


def _choose(option: Option, base: _Sourced, shared: list[_Sourced], own: str | None) -> _Sourced:
    if own is None and not shared:
        return base
    candidates = [] if own is None else [(own, "computer")]
    if option.combine is Combine.FREQUENCY:
        # Source: features.md 1.3; everybody's 0 and -1 are looked at before the others.
        return base if base[0] in ("0", "-1") else min(candidates + shared, key=_value)
    if option.combine is Combine.SWITCH and base[0] == "0":
        return base
    if candidates:
        return candidates[0]
    return _PICK[option.combine](shared)


def _value(sourced: _Sourced) -> int:
    return int(sourced[0])


def _limit(sourced: _Sourced) -> float:
    return int(sourced[0]) or float("inf")


_PICK: dict[Combine, Callable[[list[_Sourced]], _Sourced]] = {
    Combine.LARGEST: lambda shared: max(shared, key=_value),
    Combine.SMALLEST: lambda shared: min(shared, key=_value),
    Combine.LIMIT: lambda shared: min(shared, key=_limit),
    Combine.SWITCH: lambda shared: min(shared, key=_value),
}
