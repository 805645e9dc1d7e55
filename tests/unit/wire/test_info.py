from dataclasses import replace
from datetime import timedelta

import pytest
from lxml import etree

from deploy_agent.wire import terms
from deploy_agent.wire.digest import Digest, DigestAlgorithm, DigestEncoding
from deploy_agent.wire.errors import FieldError, TooLargeError, XmlError
from deploy_agent.wire.info import InfoFile, Notification, parse_info, write_info
from deploy_agent.wire.terms import Action, Protocol
from deploy_agent.wire.xml import parse_xml

COMMAND_ONLY = InfoFile("1800000001", 5, Action.EXECUTE, "true")
FULL = InfoFile(
    package_id="1800000001",
    priority=0,
    action=Action.LAUNCH,
    target="install.sh \"a & b\" <c> 'd' é\n\tend",
    protocol=Protocol.HTTPS,
    fragments=3,
    digest=Digest(DigestAlgorithm.SHA1, b"\x01" * 20, DigestEncoding.BASE64),
    notification=Notification("<b>Save your work</b><br/>", 0, can_abort=True, can_delay=True),
    done_text="Done & dusted",
    sha256=b"\x02" * 32,
    fragments_sha256=b"\x03" * 32,
    fragment_size=1048576,
    revision=2,
    success_codes=(1, -2),
    reboot_codes=(3010,),
    retry_codes=(100, 1618),
    execution_timeout_min=0,
)


@pytest.mark.parametrize("info", [COMMAND_ONLY, FULL])
def test_what_is_written_is_read(info: InfoFile) -> None:
    assert parse_info(write_info(info)) == info


@pytest.mark.parametrize("action", Action)
def test_the_text_stands_under_the_action_s_own_name(action: Action) -> None:
    root = parse_xml(write_info(replace(FULL, action=action, target="x")))
    names = {name for name in ("NAME", "COMMAND", "PATH") if root.get(name) is not None}
    assert names == {{"LAUNCH": "NAME", "EXECUTE": "COMMAND", "STORE": "PATH"}[action.value]}


def test_attributes_without_a_value_of_ours_are_left_out() -> None:
    root = parse_xml(write_info(COMMAND_ONLY))
    assert not [name for name in root.attrib if str(name).startswith("X_")]
    assert (root.get("DIGEST"), root.get("FRAGS"), root.get("GARDEFOU")) == ("", "0", "rien")


def test_attributes_may_be_children_and_unknown_ones_are_ignored() -> None:
    data = (
        b"<DOWNLOAD NEW='1'><ID>7</ID><PRI>1</PRI><ACT>STORE</ACT><PATH>/x</PATH>"
        b"<FRAGS>0</FRAGS></DOWNLOAD>"
    )
    assert parse_info(data) == InfoFile("7", 1, Action.STORE, "/x")


@pytest.mark.parametrize(
    ("attribute", "value", "field"),
    [
        ("ID", "", "ID"),
        ("ID", "../1", "ID"),
        ("PRI", "", "PRI"),
        ("PRI", "11", "PRI"),
        ("PRI", "-1", "PRI"),
        ("PRI", "five", "PRI"),
        ("ACT", "", "ACT"),
        ("ACT", "launch", "ACT"),
        ("ACT", "FORMAT", "ACT"),
        ("NAME", "", "NAME"),
        ("NAME", " ", "NAME"),
        ("PROTO", "FTP", "PROTO"),
        ("FRAGS", "", "FRAGS"),
        ("FRAGS", "-1", "FRAGS"),
        ("FRAGS", "99999999999", "FRAGS"),
        ("DIGEST", "", "DIGEST"),
        ("DIGEST_ALGO", "", "DIGEST_ALGO"),
        ("DIGEST_ENCODE", "", "DIGEST_ENCODE"),
        ("NOTIFY_COUNTDOWN", "soon", "NOTIFY_COUNTDOWN"),
        ("X_SHA256", "AB" * 32, "X_SHA256"),
        ("X_SHA256", "ab", "X_SHA256"),
        ("X_FRAGMENTS_SHA256", "x", "X_FRAGMENTS_SHA256"),
        ("X_FRAGMENT_SIZE", "0", "X_FRAGMENT_SIZE"),
        ("X_REVISION", "0", "X_REVISION"),
        ("X_RETRY_CODES", "1,,2", "X_RETRY_CODES"),
        ("X_EXECUTION_TIMEOUT", "-1", "X_EXECUTION_TIMEOUT"),
    ],
)
def test_a_wrong_value_names_its_field(attribute: str, value: str, field: str) -> None:
    root = parse_xml(write_info(FULL))
    root.set(attribute, value)
    with pytest.raises(FieldError) as caught:
        parse_info(etree.tostring(root))
    assert caught.value.field == field


def test_no_time_is_longer_than_a_calendar() -> None:
    long = "NOTIFY_USER='1' NOTIFY_COUNTDOWN='999999999999' X_EXECUTION_TIMEOUT='999999999999'"
    info = parse_info(f"<DOWNLOAD ID='7' PRI='1' ACT='STORE' PATH='/x' FRAGS='0' {long}/>".encode())
    century = timedelta(days=36_500)
    assert info.execution_timeout_min is not None
    assert timedelta(minutes=info.execution_timeout_min) == century
    assert info.notification is not None
    assert info.notification.countdown_s == century.total_seconds()


def test_a_package_without_a_file_needs_no_digest() -> None:
    assert parse_info(write_info(replace(FULL, fragments=0, digest=None))).digest is None


@pytest.mark.parametrize("data", [b"<html><body>Login</body></html>", b"", b"<DOWNLOAD"])
def test_what_is_no_info_file(data: bytes) -> None:
    with pytest.raises(XmlError):
        parse_info(data)


def test_an_info_file_is_bounded() -> None:
    with pytest.raises(TooLargeError):
        parse_info(b"<DOWNLOAD " + b" " * terms.INFO_MAX + b"/>")
