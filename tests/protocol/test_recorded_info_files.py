"""Info files: the recorded and the constructed ones, and what Perl's XML::Simple makes of ours."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from deploy_agent.wire.digest import Digest, DigestAlgorithm, DigestEncoding
from deploy_agent.wire.info import InfoFile, Notification, parse_info, write_info
from deploy_agent.wire.terms import Action, Protocol
from tests.support.processes import program
from tests.support.vectors import CONSTRUCTED, Exchange, exchanges, tree

RECORDED = [each for each in exchanges() if each.name.count("get-info") and each.status == 200]
MD5 = bytes.fromhex("be3aec7c3e6e119f2f2d89b784160b45")


@pytest.mark.parametrize("exchange", RECORDED, ids=str)
def test_a_recorded_info_file_is_read_and_rewritten(exchange: Exchange) -> None:
    info = parse_info(exchange.response.xml)
    assert tree(write_info(info)) == tree(exchange.response.xml)


def test_the_recorded_launch_package_means_this() -> None:
    info = parse_info(Exchange("agent-07-get-info-launch").response.xml)
    assert info == InfoFile(
        package_id="1800000001",
        priority=5,
        action=Action.LAUNCH,
        target="install.sh 0 two",
        protocol=Protocol.HTTP,
        fragments=3,
        digest=Digest(DigestAlgorithm.MD5, MD5, DigestEncoding.HEXA),
    )


def test_the_recorded_fragments_join_to_the_digest() -> None:
    info = parse_info(Exchange("agent-07-get-info-launch").response.xml)
    names = ("agent-08-get-fragment-1", "agent-09-get-fragment-2", "agent-10-get-fragment-3")
    joined = b"".join(Exchange(name).response.body for name in names)
    assert info.digest is not None
    assert info.digest.matches(hashlib.md5(joined).digest())


def test_base64_is_read_unpadded() -> None:
    info = parse_info(Exchange("agent-20-get-info-base64").response.xml)
    assert info.digest == Digest(DigestAlgorithm.MD5, MD5, DigestEncoding.BASE64)
    assert info.digest.text == "vjrsfD5uEZ8vLYm3hBYLRQ"


def test_what_the_windows_agent_adds_to_its_copy_does_no_harm() -> None:
    info = parse_info((CONSTRUCTED / "windows-info-stored.xml").read_bytes())
    assert info.target == r'setup.exe /S "/D=C:\Program Files\X"'
    assert info.protocol is Protocol.HTTPS
    assert info.priority == 0
    assert info.notification == Notification("<b>Save your work</b> & wait", None, True, False)
    assert info.done_text == "Done"


def test_an_info_file_may_use_children() -> None:
    info = parse_info((CONSTRUCTED / "info-children.xml").read_bytes())
    assert (info.package_id, info.priority, info.target) == ("1800000005", 10, "/opt/ä b")
    assert info.digest is not None
    assert info.digest.raw == MD5


HARD_TEXTS = [
    """install "two words" & <b>'quoted'</b> > /tmp/x""",
    "naïve Zürich 東京 \U0001f600",
    "tab\there",
    "line one\nline two",
    r"C:\new\table %TEMP% $HOME ${HOME} `id`",
    "  leading and trailing  ",
    "&amp; &#38; ]]> <!-- -->",
]

PERL = r"""
use XML::Simple; use JSON::PP; binmode STDOUT, ":utf8";
my $info = XMLin($ARGV[0], ForceArray => 0);
print JSON::PP->new->canonical->encode($info);
"""


def perl_reads(path: Path) -> dict[str, str]:
    """The hash that the Unix agent works with; it reads the file with XML::Simple too."""
    command = [program("perl"), "-e", PERL, str(path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if "Can't locate XML/Simple.pm" in answer.stderr:
        pytest.skip("libxml-simple-perl is not installed: sh tests/run.sh installs it")
    assert answer.returncode == 0, answer.stderr
    found: dict[str, str] = json.loads(answer.stdout)
    return found


@pytest.mark.parametrize("text", HARD_TEXTS)
@pytest.mark.parametrize("action", list(Action))
def test_perl_reads_the_same_text_from_our_info_file(
    tmp_path: Path, text: str, action: Action
) -> None:
    info = InfoFile(
        package_id="1800000001",
        priority=0,
        action=action,
        target=text,
        fragments=2,
        digest=Digest(DigestAlgorithm.MD5, MD5),
        notification=Notification(text, 0, can_delay=True),
        done_text=text,
        sha256=bytes(32),
        fragments_sha256=bytes(range(32)),
        fragment_size=1024,
        revision=7,
        success_codes=(1, 2),
        execution_timeout_min=0,
    )
    path = tmp_path / "info"
    path.write_bytes(write_info(info))
    fields = perl_reads(path)
    name = {Action.LAUNCH: "NAME", Action.EXECUTE: "COMMAND", Action.STORE: "PATH"}[action]
    assert fields[name] == fields["NOTIFY_TEXT"] == fields["NEED_DONE_ACTION_TEXT"] == text
    assert fields["ID"] == "1800000001"
    assert fields["PRI"] == "0"
    assert fields["DIGEST"] == MD5.hex()
    assert parse_info(path.read_bytes()) == info


def test_our_attributes_cannot_meet_a_key_of_the_unix_agent(tmp_path: Path) -> None:
    """The Unix agent copies every attribute into the hash that holds its own keys."""
    info = InfoFile("1800000001", 5, Action.STORE, "/opt", revision=1, retry_codes=(75,))
    path = tmp_path / "info"
    path.write_bytes(write_info(info))
    known = set(perl_reads(RECORDED_INFO)) | {"NAME", "COMMAND", "PATH"}
    ours = set(perl_reads(path)) - known
    assert ours
    assert all(name.startswith("X_") for name in ours)


RECORDED_INFO = Path(__file__).parents[1] / "vectors" / "agent-07-get-info-launch.response.xml"
