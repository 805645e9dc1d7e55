import pytest

from deploy_agent.wire import terms
from deploy_agent.wire.errors import FieldError, WireError, XmlError
from deploy_agent.wire.messages import DownloadReport, Inventory, Prolog, parse_request
from deploy_agent.wire.sections import Section

DEVICE = "host-a-2026-11-21-10-24-07"


@pytest.mark.parametrize(
    "data",
    [
        f"<REQUEST><DEVICEID>{DEVICE}</DEVICEID><QUERY>PROLOG</QUERY></REQUEST>",
        f"<REQUEST><QUERY> PROLOG </QUERY><DEVICEID>\n{DEVICE}\n</DEVICEID></REQUEST>",
        f"<REQUEST><CONTENT/><QUERY>PROLOG</QUERY><DEVICEID>{DEVICE}</DEVICEID></REQUEST>",
        f'<REQUEST DEVICEID="{DEVICE}" QUERY="PROLOG"/>',
        f'<REQUEST DEVICEID="{DEVICE}"><QUERY>PROLOG</QUERY></REQUEST>',
    ],
)
def test_prolog_in_every_spelling(data: str) -> None:
    assert parse_request(data.encode()) == Prolog(DEVICE)


@pytest.mark.parametrize(
    "data",
    [
        f'<REQUEST DEVICEID="{DEVICE}" ERR="ERR_CLEAN" ID="1800000001" QUERY="DOWNLOAD" />',
        f'<REQUEST ID="1800000001" ERR="ERR_CLEAN"><DEVICEID>{DEVICE}</DEVICEID><CONTENT/>'
        "<QUERY>DOWNLOAD</QUERY></REQUEST>",
        f"<REQUEST><ERR>ERR_CLEAN</ERR><ID>1800000001</ID><DEVICEID>{DEVICE}</DEVICEID>"
        "<QUERY>DOWNLOAD</QUERY></REQUEST>",
    ],
)
def test_download_in_every_spelling(data: str) -> None:
    assert parse_request(data.encode()) == DownloadReport(DEVICE, "1800000001", "ERR_CLEAN")


def test_held_packages_are_named_within_bounds_and_without_what_makes_no_sense() -> None:
    def held(text: str) -> tuple[tuple[str, int], ...]:
        data = (
            f'<REQUEST X_HELD="{text}"><DEVICEID>{DEVICE}</DEVICEID><QUERY>PROLOG</QUERY></REQUEST>'
        )
        request = parse_request(data.encode())
        assert isinstance(request, Prolog)
        return request.held

    assert held("1800000001:7, 1800000002:8") == (("1800000001", 7), ("1800000002", 8))
    assert held("1800000001:7,1800000001:7,1800000001:8") == (("1800000001", 7), ("1800000001", 8))
    assert held(",1:,:1,1:-1,x:1,1:1:1,1;2,\u0661:1," + "9" * 21 + ":1,5:6") == (("5", 6),)
    assert held("") == held("," * 10_000) == ()
    many = [("1800000001", number) for number in range(2 * terms.HELD_MAX)]
    text = ",".join(f"{package_id}:{attempt}" for package_id, attempt in many)
    assert held(text) == tuple(many[: terms.HELD_MAX])
    longest = [("9" * 20, 10**17 + number) for number in range(terms.HELD_MAX)]
    assert parse_request(Prolog(DEVICE, tuple(longest)).to_bytes()) == Prolog(
        DEVICE, tuple(longest)
    )


def test_a_prolog_without_held_packages_is_ocs_s_byte_for_byte() -> None:
    assert b"X_" not in Prolog(DEVICE).to_bytes()


def test_a_report_without_code_is_an_unknown_code() -> None:
    data = f'<REQUEST DEVICEID="{DEVICE}" ID="1" QUERY="DOWNLOAD"/>'
    assert parse_request(data.encode()) == DownloadReport(DEVICE, "1", "UNKNOWN_CODE")


def test_an_attempt_that_is_no_number_is_dropped() -> None:
    data = f'<REQUEST DEVICEID="{DEVICE}" ID="1" ERR="SUCCESS" X_ATTEMPT="x" QUERY="DOWNLOAD"/>'
    assert parse_request(data.encode()) == DownloadReport(DEVICE, "1", "SUCCESS", None)


@pytest.mark.parametrize(
    "message",
    [
        Prolog(DEVICE),
        Prolog(DEVICE, (("1800000001", 1795255200), ("1800000002", 1))),
        DownloadReport(DEVICE, "1800000001", "ERR_EXIT_CODE_3", 1795000000),
        DownloadReport(DEVICE, "1800000001", 'odd & <"code">'),
        Inventory(DEVICE),
        Inventory(
            DEVICE,
            (
                Section("HARDWARE", (("NAME", "a & b <c>"), ("CHECKSUM", "262143"))),
                Section("DRIVES", (("TYPE", "/"), ("TYPE", "again"))),
                Section("DRIVES", ()),
            ),
            tag="LYON",
            history=("1800000001", "1800000002"),
            old_device_id="old-2026-11-21-10-24-07",
        ),
        Inventory(DEVICE, history=()),
    ],
)
def test_what_is_written_is_read(message: Prolog | DownloadReport | Inventory) -> None:
    assert parse_request(message.to_bytes()) == message


@pytest.mark.parametrize(
    ("checksum", "number"), [("513", 513), ("", None), ("1; DROP TABLE", None), ("-1", None)]
)
def test_checksum_is_a_number_or_nothing(checksum: str, number: int | None) -> None:
    sections = (Section("HARDWARE", (("CHECKSUM", checksum),)),)
    assert Inventory(DEVICE, sections).checksum == number


def test_the_old_device_id_is_found_where_some_agents_misplace_it() -> None:
    data = (
        f"<REQUEST><DEVICEID>{DEVICE}</DEVICEID><QUERY>INVENTORY</QUERY><CONTENT><DOWNLOAD><HISTORY>"
        "<OLD_DEVICEID>b-2020-01-02-03-04-05</OLD_DEVICEID><PACKAGE ID='7'/><PACKAGE ID='x'/>"
        "<PACKAGE ID='7'/></HISTORY></DOWNLOAD></CONTENT></REQUEST>"
    )
    message = parse_request(data.encode())
    assert message == Inventory(DEVICE, history=("7",), old_device_id="b-2020-01-02-03-04-05")


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ("<REQUEST><QUERY>PROLOG</QUERY></REQUEST>", "DEVICEID"),
        ("<REQUEST><DEVICEID>foo</DEVICEID><QUERY>PROLOG</QUERY></REQUEST>", "DEVICEID"),
        (f"<REQUEST><DEVICEID>{DEVICE}</DEVICEID></REQUEST>", "QUERY"),
        (f"<REQUEST><DEVICEID>{DEVICE}</DEVICEID><QUERY>prolog</QUERY></REQUEST>", "QUERY"),
        (f'<REQUEST DEVICEID="{DEVICE}" QUERY="DOWNLOAD" ERR="SUCCESS"/>', "ID"),
        (f'<REQUEST DEVICEID="{DEVICE}" QUERY="DOWNLOAD" ERR="SUCCESS" ID="1 OR 1"/>', "ID"),
        (f'<REQUEST DEVICEID="{DEVICE}" QUERY="INVENTORY"/>', "CONTENT"),
    ],
)
def test_a_missing_or_wrong_field_is_named(data: str, field: str) -> None:
    with pytest.raises(FieldError) as caught:
        parse_request(data.encode())
    assert caught.value.field == field


def test_another_root_is_no_request() -> None:
    with pytest.raises(XmlError):
        parse_request(b"<REPLY/>")


def test_a_long_message_is_refused() -> None:
    with pytest.raises(WireError):
        parse_request(Prolog(DEVICE).to_bytes(), limit=20)
