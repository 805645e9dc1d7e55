import pytest

from deploy_server.domain.errors import SpecError
from deploy_server.domain.location import Location, is_local, read_location


@pytest.mark.parametrize(
    ("text", "scheme", "kept"),
    [
        ("deploy.example.org/download", "https", "deploy.example.org/download"),
        ("https://deploy.example.org/download", "https", "deploy.example.org/download"),
        (" HTTPS://Deploy.Example.ORG:8443/Down/ ", "https", "deploy.example.org:8443/Down"),
        ("http://site.example:8080/a/b_c-d.e/", "http", "site.example:8080/a/b_c-d.e"),
        ("192.168.1.1:4343/download", "https", "192.168.1.1:4343/download"),
        ("[fd00::1]:8443/x", "https", "[fd00::1]:8443/x"),
        ("[FD00::1]", "https", "[fd00::1]"),
        ("server", "https", "server"),
        ("my_server.lan.", "http", "my_server.lan."),
    ],
)
def test_a_place_is_kept_without_its_scheme(text: str, scheme: str, kept: str) -> None:
    assert str(read_location(text, "info_url", scheme)) == kept


@pytest.mark.parametrize(
    "text",
    [
        "", "  ", "/", "https://", "/download", "a b/x", "a.example/x?y", "a.example/x#y",
        "user:secret@a.example/x", "a.example/%2e%2e/x", "größe.example/x", "a.example/../x",
        "a.example//x", "a.example/./x", "a.example:0/x", "a.example:65536/x", "a.example:/x",
        "a.example:http/x", "::1/x", "[::1/x", "[1.2.3.4]/x", "[a.example]/x", "1.2.3/x",
        "256.1.1.1/x", "-a.example/x", "a..example/x", "a.example/\0", "$IP$/local",
        "x" * 300, "a.example/" + "x" * 1000, "https://https://a.example", "a\n.example",
    ],
)  # fmt: skip
def test_no_place(text: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_location(text, "fragment_url", "https")
    assert caught.value.field == "fragment_url"
    assert caught.value.hint


def test_info_files_come_over_https_only() -> None:
    with pytest.raises(SpecError, match="only over HTTPS"):
        read_location("http://a.example/download", "info_url", "https")


@pytest.mark.parametrize(
    ("scheme", "other"), [("http", "https"), ("https", "http"), ("http", "ftp")]
)
def test_fragments_come_by_the_packages_protocol(scheme: str, other: str) -> None:
    with pytest.raises(SpecError, match=f"fetched by {scheme}, not {other}"):
        read_location(f"{other}://a.example/download", "fragment_url", scheme)


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("localhost:8443/download", True),
        ("LOCALHOST/x", True),
        ("a.localhost/x", True),
        ("127.0.0.1/x", True),
        ("127.8.9.10:80/x", True),
        ("https://127.0.0.1/x", True),
        ("http://localhost:8080/x", True),
        ("[::1]/x", True),
        ("0.0.0.0/x", True),
        ("localhost.example/x", False),
        ("192.168.1.1/x", False),
        ("a b", False),
    ],
)
def test_agents_would_look_on_themselves(text: str, local: bool) -> None:
    assert is_local(text) is local


def test_the_port_that_is_meant() -> None:
    assert Location("a").port_for("https") == 443
    assert Location("a").port_for("http") == 80
    assert Location("a", 8443).port_for("https") == 8443
