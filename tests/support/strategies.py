"""Hypothesis strategies for the values of the wire."""

from hypothesis import strategies as st

from deploy_agent.wire.digest import Digest, DigestAlgorithm, DigestEncoding
from deploy_agent.wire.info import InfoFile, Notification
from deploy_agent.wire.messages import DownloadReport, Inventory, Prolog
from deploy_agent.wire.replies import (
    DownloadSettings,
    InventoryReply,
    PackageOffer,
    PrologReply,
    TrancheOption,
)
from deploy_agent.wire.sections import Section
from deploy_agent.wire.terms import Action, Protocol

_LENGTHS = {DigestAlgorithm.MD5: 16, DigestAlgorithm.SHA1: 20, DigestAlgorithm.SHA256: 32}

#: Every character that XML can carry and that survives a reader's normalisation of line ends.
_CHARACTERS = st.characters(exclude_categories=("Cs", "Cc", "Cn"), exclude_characters="￾￿")
texts = st.text(_CHARACTERS, max_size=40)
#: What a reader does not strip at the ends, and does not take for missing.
words = texts.map(str.strip).filter(bool)
package_ids = st.from_regex(r"[0-9]{10}", fullmatch=True)
numbers = st.integers(0, 10**9)
#: Up to a hundred years, which nothing that is read goes beyond.
hours = st.integers(0, 100 * 365 * 24)
minutes = st.integers(0, 100 * 365 * 24 * 60)
names = st.from_regex(r"[A-Z][A-Z0-9_]{0,9}", fullmatch=True)
device_ids = st.builds(
    "{}-2026-11-21-10-24-07".format, st.text(_CHARACTERS, min_size=1, max_size=30)
).filter(lambda text: text.isprintable() and text == text.strip())


@st.composite
def digests(draw: st.DrawFn) -> Digest:
    algorithm = draw(st.sampled_from(DigestAlgorithm))
    length = _LENGTHS[algorithm]
    raw = draw(st.binary(min_size=length, max_size=length))
    return Digest(algorithm, raw, draw(st.sampled_from(DigestEncoding)))


@st.composite
def info_files(draw: st.DrawFn) -> InfoFile:
    fragments = draw(st.integers(0, 1000))
    digest32 = st.none() | st.binary(min_size=32, max_size=32)
    codes = st.lists(st.integers(-(2**31), 2**32), max_size=4).map(tuple)
    return InfoFile(
        package_id=draw(package_ids),
        priority=draw(st.integers(0, 10)),
        action=draw(st.sampled_from(Action)),
        target=draw(texts.filter(str.strip)),
        protocol=draw(st.sampled_from(Protocol)),
        fragments=fragments,
        digest=draw(digests()) if fragments else None,
        notification=draw(
            st.none()
            | st.builds(Notification, texts, st.none() | numbers, st.booleans(), st.booleans())
        ),
        done_text=draw(st.none() | texts),
        sha256=draw(digest32),
        fragments_sha256=draw(digest32),
        fragment_size=draw(st.none() | st.integers(1, 2**31)),
        revision=draw(st.none() | st.integers(1, 10**6)),
        success_codes=draw(codes),
        reboot_codes=draw(codes),
        retry_codes=draw(codes),
        execution_timeout_min=draw(st.none() | minutes),
    )


_IN_CONTENT = {"DOWNLOAD", "OLD_DEVICEID", "ACCOUNTINFO"}
sections = st.builds(
    Section,
    names.filter(lambda name: name not in _IN_CONTENT),
    st.lists(st.tuples(names, texts.map(str.strip)), max_size=4).map(tuple),
)
requests = (
    st.builds(Prolog, device_ids)
    | st.builds(DownloadReport, device_ids, package_ids, words, st.none() | st.integers(0, 10**12))
    | st.builds(
        Inventory,
        device_ids,
        st.lists(sections, max_size=5).map(tuple),
        st.none() | texts.map(str.strip),
        st.none() | st.lists(package_ids, max_size=4, unique=True).map(tuple),
        st.none() | device_ids,
    )
)

locations = st.from_regex(r"[a-z0-9.-]{1,20}(:[0-9]{1,5})?/[a-z/]{0,9}[a-z]", fullmatch=True)
settings = st.builds(
    DownloadSettings,
    st.booleans(),
    numbers,
    numbers,
    numbers,
    st.integers(1, 1000),
    st.integers(1, 1000),
    minutes,
)
offers = st.builds(
    PackageOffer,
    package_id=package_ids,
    info_loc=locations,
    pack_loc=locations,
    schedule=st.sampled_from(["", "2026/12/24 18:00"]),
    postcmd=texts.map(str.strip),
    force=st.booleans(),
    revision=st.none() | numbers,
    attempt=st.none() | st.integers(0, 10**12),
)
tranche_options = st.builds(
    TrancheOption,
    st.integers(1, 10**6),
    st.lists(st.tuples(package_ids, numbers), max_size=3).map(tuple),
)


@st.composite
def prolog_replies(draw: st.DrawFn) -> PrologReply:
    conf = draw(st.none() | settings)
    listed = st.lists(offers, max_size=4, unique_by=lambda offer: offer.package_id)
    return PrologReply(
        send_inventory=draw(st.booleans()),
        prolog_freq_h=draw(st.none() | hours),
        inventory_on_startup=draw(st.booleans()),
        settings=conf,
        offers=() if conf is None else tuple(draw(listed)),
        tranche=draw(st.none() | tranche_options),
    )


inventory_replies = st.builds(
    InventoryReply, st.none() | st.dictionaries(names, texts.map(str.strip), min_size=1, max_size=3)
)
