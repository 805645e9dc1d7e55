"""Numbers, sizes, durations, statuses and charts as pages write them."""

import pytest

from deploy_agent.wire.result import ResultClass
from deploy_server.web import formats


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B".replace("1023", "1,023")),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (1024**2, "1 MiB"),
        (104_857_600, "100 MiB"),
        (5 * 1024**3 + 1, "5.0 GiB"),
        (3 * 1024**5, "3,072 TiB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert formats.size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "1 h"),
        (35_194, "9 h 47 min"),
        (86_400, "1 day"),
        (187_200, "2 days 4 h"),
        (31_536_000, "365 days"),
    ],
)
def test_durations(seconds: int, text: str) -> None:
    assert formats.duration_text(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (9999, "9,999"), (10_000, "10k"), (12_340, "12.3k"), (123_456, "123k"),
     (1_000_000, "1M"), (1_250_000, "1.2M")],
)  # fmt: skip
def test_short_numbers(number: int, text: str) -> None:
    assert formats.short_number(number) == text


def test_plurals_and_sentences() -> None:
    assert formats.plural(1, "computer") == "1 computer"
    assert formats.plural(1204, "computer") == "1,204 computers"
    assert formats.plural(2, "this", "these") == "2 these"
    assert formats.sentence(" it failed ") == "It failed."
    assert formats.sentence("why?") == "Why?"
    assert formats.sentence("") == ""


def test_long_text_is_cut_and_directions_are_shown() -> None:
    assert formats.shorten("abcdef", 3) == "abc…"
    assert formats.shorten("abc", 3) == "abc"
    assert formats.shorten("a\nb\x00", 9) == "a b "
    assert formats.shorten("\u202egnp.exe", 9) == "\ufffdgnp.exe"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("WAITING", "waiting"),
        ("NOTIFIED", "notified"),
        ("SUCCESS", "success"),
        ("SUCCESS_0", "success"),
        ("SUCCESS_3", "error"),
        ("SUCCESS_ALREADY_SETUP", "already"),
        ("ERR_ALREADY_SETUP", "already"),
        ("ERR_BAD_DIGEST", "error"),
        ("<script>", "error"),
    ],
)
def test_statuses_have_a_colour(status: str, kind: str) -> None:
    assert formats.kind_of(status) == kind


def test_a_chart_is_whole_and_leaves_empty_parts_out() -> None:
    by_class = {ResultClass.WAITING: 1, ResultClass.SUCCESS: 6, ResultClass.ERROR: 0}
    parts = formats.class_slices(by_class, already=2)
    assert [(each.kind, each.count) for each in parts] == [
        ("success", 4),
        ("already", 2),
        ("waiting", 1),
    ]
    assert sum(each.share for each in parts) == pytest.approx(100, abs=0.01)
    assert parts[1].start == pytest.approx(parts[0].share, abs=0.01)
    assert formats.class_slices({}) == []


def test_an_info_file_has_a_line_for_each_attribute() -> None:
    text = '<DOWNLOAD ID="1" NAME="a &quot; PRI=&quot;5"/>'
    assert formats.info_lines(text) == '<DOWNLOAD ID="1"\n  NAME="a &quot; PRI=&quot;5"/>'


def test_moments_of_a_sentence_are_shown_in_the_readers_zone() -> None:
    said = formats.timed('<b> by 2026-11-22 05:10 UTC" & 2026-11-23 00:00 UTC.')
    first, second = (
        f'<time datetime="2026-11-{day}:00Z" data-absolute="hour">2026-11-{text} UTC</time>'
        for day, text in (("22T05:10", "22 05:10"), ("23T00:00", "23 00:00"))
    )
    assert said == f"&lt;b&gt; by {first}&#34; &amp; {second}."
    # An agent's words may look like one; scripts would stumble over it.
    for text in ("2026-13-40 99:00 UTC", "2026-11-22 05:10 UTCx", "x2026-11-22 05:10 UTC"):
        assert formats.timed(text) == text
