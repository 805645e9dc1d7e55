"""What servers answer: the replies to PROLOG and INVENTORY.

Source: features.md 1.3-1.5; vectors/agent-03-prolog-one-package.response.xml. The option TRANCHE
and the X_ attributes of a PACK are ours (contract.md 4, Extension); OCS's agents never see them.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from deploy_agent.wire import terms, xml
from deploy_agent.wire.errors import FieldError, XmlError
from deploy_agent.wire.fragment import check_foreign_package_id
from deploy_agent.wire.xml import Element

_NUMBER = re.compile(r"-?[0-9]{1,18}\Z", re.ASCII)
_COUNT = re.compile(r"[0-9]{1,15}\Z", re.ASCII)  # what events can carry
_CYCLES_MAX = 36_500


@dataclass(frozen=True, slots=True)
class DownloadSettings:
    """The CONF of a reply: how agents pace themselves. Defaults are the seed's.

    Attributes:
        on: deployment is switched on.
        frag_latency_s: seconds after each fragment; 0 is a value.
        cycle_latency_s: seconds after each cycle.
        period_latency_s: seconds after each period.
        period_length: cycles of a period, at least 1.
        timeout_days: days that a package may take, at least 1.
        execution_timeout_min: minutes that an action may take; 0 means no limit.
    """

    on: bool = True
    frag_latency_s: int = 10
    cycle_latency_s: int = 60
    period_latency_s: int = 0
    period_length: int = 10
    timeout_days: int = 30
    execution_timeout_min: int = 120


@dataclass(frozen=True, slots=True)
class PackageOffer:
    """One PACK: a package for this computer.

    Attributes:
        package_id: digits.
        info_loc: host[:port]/path without scheme; the info file is there under <id>/info, by HTTPS.
        pack_loc: the same for fragments.
        schedule: 'YYYY/MM/DD HH:MM' in the computer's local time, '' for at once.
        postcmd: '', REBOOT, SHUTDOWN or a command line.
        force: run even where history has it.
        cert_path: for old agents; ours ignores it.
        cert_file: for old agents; ours ignores it.
        revision: X_REVISION, None from a server that is not ours.
        attempt: X_ATTEMPT, None from a server that is not ours.
    """

    package_id: str
    info_loc: str
    pack_loc: str
    schedule: str = ""
    postcmd: str = ""
    force: bool = False
    cert_path: str = terms.INSTALL_PATH
    cert_file: str = terms.CERT_FILE
    revision: int | None = None
    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class TrancheOption:
    """What our server tells only our agents.

    Attributes:
        contact_minutes: how long until the next contact.
        cancels: (package id, attempt) of what was withdrawn.
    """

    contact_minutes: int = 60
    cancels: tuple[tuple[str, int], ...] = ()

    VERSION = 1


@dataclass(frozen=True, slots=True)
class PrologReply:
    """The answer to a PROLOG.

    Attributes:
        send_inventory: RESPONSE is SEND.
        prolog_freq_h: hours between contacts; None when the reply does not say.
        inventory_on_startup: for the Windows service.
        settings: CONF; None where the reply has no DOWNLOAD option, so nothing may be deployed.
        offers: the packages, in the order of the reply.
        tranche: our extension, None from a server that is not ours.
        refused: offers that could not be read, each with the reason; only read, never written.
    """

    send_inventory: bool
    prolog_freq_h: int | None = 24
    inventory_on_startup: bool = True
    settings: DownloadSettings | None = None
    offers: tuple[PackageOffer, ...] = ()
    tranche: TrancheOption | None = None
    refused: tuple[str, ...] = field(default=(), compare=False)

    def to_bytes(self) -> bytes:
        """Return the reply."""
        root = xml.element("REPLY")
        xml.add(root, "RESPONSE", "SEND" if self.send_inventory else "STOP")
        if self.prolog_freq_h is not None:
            xml.add(root, "PROLOG_FREQ", str(self.prolog_freq_h))
        xml.add(root, "INVENTORY_ON_STARTUP", "1" if self.inventory_on_startup else "0")
        if self.settings is not None:
            option = xml.add(root, "OPTION")
            xml.add(option, "NAME", "DOWNLOAD")
            option.append(xml.element("PARAM", _conf(self.settings)))
            for offer in self.offers:
                option.append(xml.element("PARAM", _pack(offer)))
        if self.tranche is not None:
            root.append(_tranche(self.tranche))
        return xml.to_bytes(root)

    @classmethod
    def parse(cls, data: bytes) -> "PrologReply":
        """Read a reply of any server, whatever the order and whatever is missing.

        An offer that makes no sense is refused alone, with its reason in `refused`.

        Raises:
            XmlError: it is not a REPLY; the server's fault.
        """
        root = _reply(data)
        download = _option(root, "DOWNLOAD")
        tranche = _option(root, "TRANCHE")
        offers, refused = _offers(download)
        return cls(
            send_inventory=_text(root, "RESPONSE").upper() == "SEND",
            prolog_freq_h=_number(_text(root, "PROLOG_FREQ"), high=terms.HOURS_MAX),
            inventory_on_startup=_text(root, "INVENTORY_ON_STARTUP") == "1",
            settings=None if download is None else _settings(download),
            offers=offers,
            tranche=None if tranche is None else _read_tranche(tranche),
            refused=refused,
        )


@dataclass(frozen=True, slots=True)
class InventoryReply:
    """The answer to an INVENTORY.

    Attributes:
        account: what the agent has to store (TAG), None when it has the same already.
    """

    account: Mapping[str, str] | None = None

    def to_bytes(self) -> bytes:
        """Return the reply."""
        root = xml.element("REPLY")
        xml.add(root, "RESPONSE", "NO_ACCOUNT_UPDATE" if self.account is None else "ACCOUNT_UPDATE")
        for name, value in (self.account or {}).items():
            account = xml.add(root, "ACCOUNTINFO")
            xml.add(account, "KEYNAME", name)
            xml.add(account, "KEYVALUE", value)
        return xml.to_bytes(root)

    @classmethod
    def parse(cls, data: bytes) -> "InventoryReply":
        """Read a reply.

        Raises:
            XmlError: it is not a REPLY; the server's fault.
        """
        root = _reply(data)
        if _text(root, "RESPONSE").upper() != "ACCOUNT_UPDATE":
            return cls(None)
        accounts = root.iterfind("ACCOUNTINFO")
        return cls({_text(each, "KEYNAME"): _text(each, "KEYVALUE") for each in accounts})


def _conf(settings: DownloadSettings) -> dict[str, str]:
    return {
        "TYPE": "CONF",
        "ON": "1" if settings.on else "0",
        "FRAG_LATENCY": str(settings.frag_latency_s),
        "CYCLE_LATENCY": str(settings.cycle_latency_s),
        "PERIOD_LATENCY": str(settings.period_latency_s),
        "PERIOD_LENGTH": str(settings.period_length),
        "TIMEOUT": str(settings.timeout_days),
        "EXECUTION_TIMEOUT": str(settings.execution_timeout_min),
    }


def _pack(offer: PackageOffer) -> dict[str, str]:
    attributes = {
        "TYPE": "PACK",
        "ID": offer.package_id,
        "INFO_LOC": offer.info_loc,
        "PACK_LOC": offer.pack_loc,
        "CERT_PATH": offer.cert_path,
        "CERT_FILE": offer.cert_file,
        "SCHEDULE": offer.schedule,
        "POSTCMD": offer.postcmd,
        "FORCE": "1" if offer.force else "0",
    }
    if offer.revision is not None:
        attributes["X_REVISION"] = str(offer.revision)
    if offer.attempt is not None:
        attributes["X_ATTEMPT"] = str(offer.attempt)
    return attributes


def _tranche(option: TrancheOption) -> Element:
    root = xml.element("OPTION")
    xml.add(root, "NAME", "TRANCHE")
    minutes = str(option.contact_minutes)
    version = str(TrancheOption.VERSION)
    root.append(xml.element("PARAM", {"VERSION": version, "CONTACT_MINUTES": minutes}))
    for package_id, attempt in option.cancels:
        cancel = {"TYPE": "CANCEL", "ID": package_id, "ATTEMPT": str(attempt)}
        root.append(xml.element("PARAM", cancel))
    return root


def _reply(data: bytes) -> Element:
    root = xml.parse_xml(data)
    if root.tag != "REPLY":
        raise XmlError(f"not a reply: its root is {str(root.tag)[:40]!r}")
    return root


def _text(element: Element, name: str) -> str:
    found = element.get(name)
    return (element.findtext(name) or "" if found is None else found).strip()


def _number(text: str | None, low: int | None = None, high: int | None = None) -> int | None:
    """Return `text` as a number, brought between `low` and `high`; None where it is none."""
    if text is None or not _NUMBER.match(text.strip()):
        return None
    number = int(text)
    number = number if low is None else max(low, number)
    return number if high is None else min(high, number)


def _count(text: str | None) -> int | None:
    """Return an attempt or a revision; None where there is none that anybody could have meant."""
    return int(text) if text is not None and _COUNT.match(text.strip()) else None


def _option(root: Element, name: str) -> Element | None:
    """Return the OPTION called `name`; agents compare without case. Source: features.md 1.3."""
    options = root.iterfind("OPTION")
    return next((each for each in options if _text(each, "NAME").upper() == name), None)


def _settings(option: Element) -> DownloadSettings:
    conf = next((p for p in option.iterfind("PARAM") if p.get("TYPE") == "CONF"), None)
    if conf is None:
        return DownloadSettings(on=False)
    default = DownloadSettings()

    def value(name: str, low: int, fallback: int, high: int = terms.SECONDS_MAX) -> int:
        number = _number(conf.get(name), low, high)
        return fallback if number is None else number

    return DownloadSettings(
        on=conf.get("ON", "").strip() == "1",
        frag_latency_s=value("FRAG_LATENCY", 0, default.frag_latency_s),
        cycle_latency_s=value("CYCLE_LATENCY", 0, default.cycle_latency_s),
        period_latency_s=value("PERIOD_LATENCY", 0, default.period_latency_s),
        period_length=value("PERIOD_LENGTH", 1, default.period_length, _CYCLES_MAX),
        timeout_days=value("TIMEOUT", 1, default.timeout_days, terms.DAYS_MAX),
        execution_timeout_min=value(
            "EXECUTION_TIMEOUT", 0, default.execution_timeout_min, terms.MINUTES_MAX
        ),
    )


def _offers(option: Element | None) -> tuple[tuple[PackageOffer, ...], tuple[str, ...]]:
    offers: dict[str, PackageOffer] = {}
    refused: list[str] = []
    params = [] if option is None else option.iterfind("PARAM")
    for param in params:
        if param.get("TYPE") != "PACK":
            continue
        try:
            offer = _read_offer(param)
        except FieldError as error:
            refused.append(str(error))
        else:
            offers.setdefault(offer.package_id, offer)
    return tuple(offers.values()), tuple(refused)


def _read_offer(param: Element) -> PackageOffer:
    package_id = check_foreign_package_id(param.get("ID", ""))
    info_loc = param.get("INFO_LOC", "").strip().rstrip("/")
    if not info_loc:
        raise FieldError("INFO_LOC", f"is missing for package {package_id}")
    return PackageOffer(
        package_id=package_id,
        info_loc=info_loc,
        pack_loc=param.get("PACK_LOC", "").strip().rstrip("/"),
        schedule=param.get("SCHEDULE", "").strip(),
        postcmd=param.get("POSTCMD", "").strip(),
        force=param.get("FORCE", "").strip() == "1",
        cert_path=param.get("CERT_PATH", terms.INSTALL_PATH),
        cert_file=param.get("CERT_FILE", terms.CERT_FILE),
        revision=_count(param.get("X_REVISION")),
        attempt=_count(param.get("X_ATTEMPT")),
    )


def _read_tranche(option: Element) -> TrancheOption:
    minutes = None
    cancels: list[tuple[str, int]] = []
    for param in option.iterfind("PARAM"):
        if param.get("TYPE") == "CANCEL":
            attempt = _count(param.get("ATTEMPT"))
            with suppress(FieldError):  # nobody has a package of such a name
                package_id = check_foreign_package_id(param.get("ID", ""))
                cancels += [] if attempt is None else [(package_id, attempt)]
        elif minutes is None:
            minutes = _number(param.get("CONTACT_MINUTES"), 1, terms.MINUTES_MAX)
    return TrancheOption(60 if minutes is None else minutes, tuple(cancels))
