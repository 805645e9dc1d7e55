from datetime import timedelta

import pytest

from deploy_agent.wire.errors import XmlError
from deploy_agent.wire.replies import (
    DownloadSettings,
    InventoryReply,
    PackageOffer,
    PrologReply,
    TrancheOption,
)

OFFER = PackageOffer(
    package_id="1800000001",
    info_loc="a.example:8443/download",
    pack_loc="b.example/download",
    schedule="2026/11/21 22:00",
    postcmd='echo "a & b" > /tmp/x',
    force=True,
    revision=3,
    attempt=1795000000,
)


@pytest.mark.parametrize(
    "reply",
    [
        PrologReply(send_inventory=False),
        PrologReply(send_inventory=True, prolog_freq_h=1, inventory_on_startup=False),
        PrologReply(
            send_inventory=True,
            settings=DownloadSettings(False, 0, 0, 0, 1, 1, 0),
            offers=(OFFER, PackageOffer("7", "x/y", "")),
            tranche=TrancheOption(15, (("1800000001", 3), ("1800000002", 4))),
        ),
    ],
)
def test_what_is_written_is_read(reply: PrologReply) -> None:
    assert PrologReply.parse(reply.to_bytes()) == reply


def _parse(option: str) -> PrologReply:
    return PrologReply.parse(f"<REPLY><RESPONSE>STOP</RESPONSE>{option}</REPLY>".encode())


def _download(params: str) -> PrologReply:
    return _parse(f"<OPTION><NAME>download</NAME>{params}</OPTION>")


def test_stop_without_option_means_that_nothing_may_be_deployed() -> None:
    reply = _parse("")
    assert (reply.send_inventory, reply.settings, reply.offers) == (False, None, ())
    assert reply.prolog_freq_h is None


def test_an_option_without_conf_is_switched_off() -> None:
    assert _download("").settings == DownloadSettings(on=False)


def test_an_empty_conf_has_the_defaults_and_is_off() -> None:
    assert _download("<PARAM TYPE='CONF'/>").settings == DownloadSettings(on=False)


def test_zero_is_a_value_and_lengths_are_at_least_one() -> None:
    reply = _download(
        "<PARAM ON='1' TYPE='CONF' FRAG_LATENCY='0' CYCLE_LATENCY='0' PERIOD_LATENCY='-5'"
        " PERIOD_LENGTH='0' TIMEOUT='-3' EXECUTION_TIMEOUT='x'/>"
    )
    assert reply.settings == DownloadSettings(True, 0, 0, 0, 1, 1, 120)


def test_nothing_is_longer_than_a_calendar() -> None:
    names = ("FRAG_LATENCY", "CYCLE_LATENCY", "PERIOD_LATENCY", "PERIOD_LENGTH", "TIMEOUT")
    much = " ".join(f"{name}='{10**18 - 1}'" for name in (*names, "EXECUTION_TIMEOUT"))
    reply = _parse(
        f"<PROLOG_FREQ>{10**18 - 1}</PROLOG_FREQ>"
        f"<OPTION><NAME>DOWNLOAD</NAME><PARAM TYPE='CONF' ON='1' {much}/></OPTION>"
        f"<OPTION><NAME>TRANCHE</NAME><PARAM CONTACT_MINUTES='{10**18 - 1}'/></OPTION>"
    )
    settings, tranche = reply.settings, reply.tranche
    assert settings is not None
    assert tranche is not None
    assert reply.prolog_freq_h is not None
    century = timedelta(days=36_500)
    assert timedelta(days=settings.timeout_days) == century
    assert timedelta(seconds=settings.cycle_latency_s) == century
    assert timedelta(minutes=settings.execution_timeout_min) == century
    assert timedelta(minutes=tranche.contact_minutes) == century
    assert timedelta(hours=reply.prolog_freq_h) == century
    assert settings.period_length == 36_500


def test_other_options_are_tolerated() -> None:
    reply = _parse(
        "<OPTION><NAME>REGISTRY</NAME><PARAM NAME='x'/></OPTION><OPTION/>"
        "<OPTION><NAME>DOWNLOAD</NAME><PARAM TYPE='CONF' ON='1'/></OPTION>"
    )
    assert reply.settings == DownloadSettings()


@pytest.mark.parametrize(
    "pack",
    [
        "<PARAM TYPE='PACK'/>",
        "<PARAM TYPE='PACK' ID='../../etc' INFO_LOC='x'/>",
        "<PARAM TYPE='PACK' ID='7' INFO_LOC=''/>",
    ],
)
def test_an_offer_that_makes_no_sense_is_refused_alone(pack: str) -> None:
    reply = _download(f"{pack}<PARAM TYPE='PACK' ID='8' INFO_LOC='x/y/' PACK_LOC='z/'/>")
    assert [offer.package_id for offer in reply.offers] == ["8"]
    assert (reply.offers[0].info_loc, reply.offers[0].pack_loc) == ("x/y", "z")
    assert len(reply.refused) == 1


@pytest.mark.parametrize("number", ["-5", "x", str(10**16), ""])
def test_an_attempt_or_revision_that_is_none(number: str) -> None:
    # They become parts of file names and of events; one that nobody reads back protects nothing.
    pack = f"<PARAM TYPE='PACK' ID='8' INFO_LOC='x' X_ATTEMPT='{number}' X_REVISION='{number}'/>"
    (offer,) = _download(pack).offers
    assert (offer.attempt, offer.revision) == (None, None)


def test_what_cannot_be_taken_back_is_passed_over() -> None:
    cancels = "".join(
        f"<PARAM TYPE='CANCEL' ID='{each}' ATTEMPT='{attempt}'/>"
        for each, attempt in [("8", "-5"), ("../x", "1"), ("", "2"), ("8", str(10**16)), ("8", "4")]
    )
    reply = _parse(f"<OPTION><NAME>TRANCHE</NAME>{cancels}</OPTION>")
    assert reply.tranche == TrancheOption(60, (("8", 4),))


def test_the_same_package_twice_is_one_offer() -> None:
    packs = "<PARAM TYPE='PACK' ID='8' INFO_LOC='x'/><PARAM TYPE='PACK' ID='8' INFO_LOC='y'/>"
    assert [offer.info_loc for offer in _download(packs).offers] == ["x"]


@pytest.mark.parametrize("reply", [InventoryReply(), InventoryReply({"TAG": "LYON & <Sud>"})])
def test_inventory_replies(reply: InventoryReply) -> None:
    assert InventoryReply.parse(reply.to_bytes()) == reply


@pytest.mark.parametrize("data", [b"<html/>", b"<REQUEST/>", b"not xml", b""])
def test_what_is_no_reply(data: bytes) -> None:
    with pytest.raises(XmlError):
        PrologReply.parse(data)
    with pytest.raises(XmlError):
        InventoryReply.parse(data)
