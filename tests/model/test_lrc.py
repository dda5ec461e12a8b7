"""LRC, in every dialect that is about."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stellatune_plugins.model import DurationMs
from stellatune_plugins.model.lrc import MAX_LINES, format_lrc, parse_lrc
from stellatune_plugins.model.lyrics import LyricLine, LyricSheet, LyricWord


@pytest.mark.parametrize(
    ("stamp", "at"),
    [
        ("[00:12]", 12_000),
        ("[1:02.5]", 62_500),
        ("[01:02.50]", 62_500),
        ("[01:02.503]", 62_503),
        ("[01:02:50]", 62_500),
        ("[01:02,50]", 62_500),
        ("[100:00.00]", 6_000_000),
        ("  [00:01.00]", 1000),
    ],
)
def test_stamps_of_every_form(stamp: str, at: int) -> None:
    """Minutes and seconds with none to three places, whatever separates them."""
    assert parse_lrc(f"{stamp} text").lines == (LyricLine("text", DurationMs(at)),)


def test_lines_with_several_stamps_come_in_order() -> None:
    """A chorus that is written once stands at each of its times."""
    sheet = parse_lrc("[00:10.00][00:30.00]chorus\n[00:20.00]verse\n")
    assert [(line.at, line.text) for line in sheet.lines] == [(10_000, "chorus"), (20_000, "verse"), (30_000, "chorus")]


@pytest.mark.parametrize(
    ("offset", "at"), [("+500", 9_500), ("-500", 10_500), ("500", 9_500), ("99999", 0), ("x", 10_000)]
)
def test_a_positive_offset_brings_everything_forward(offset: str, at: int) -> None:
    """Applied wherever in the file it stands, never below zero, and gone from the tags."""
    sheet = parse_lrc(f"[00:10.00]a\n[offset:{offset}]\n[ti: The title ]\n")
    assert sheet.lines == (LyricLine("a", DurationMs(at)),)
    assert sheet.tags == (("ti", "The title"),)


def test_words_keep_their_times() -> None:
    """Enhanced stamps time pieces of a line, and move along in its repetitions and with the offset."""
    sheet = parse_lrc("[offset:1000]\n[00:10.00][00:20.00]<00:10.00>so <00:10.50>it goes")
    words = [[(word.at, word.text) for word in line.words] for line in sheet.lines]
    assert words == [[(9_000, "so "), (9_500, "it goes")], [(19_000, "so "), (19_500, "it goes")]]
    assert [line.text for line in sheet.lines] == ["so it goes", "so it goes"]


def test_text_without_times_is_kept_whole() -> None:
    """Blank lines around it go, those between verses stay."""
    sheet = parse_lrc("[ar:Who]\n\n\nfirst\n\nsecond\n\n")
    assert [line.text for line in sheet.lines] == ["first", "", "second"]
    assert not sheet.synchronised
    assert sheet.line_at(DurationMs(0)) is None


def test_the_line_at_a_position() -> None:
    """The last line that has begun."""
    sheet = parse_lrc("[00:01.00]a\n[00:02.00]b\n")
    assert [sheet.line_at(DurationMs(at)) for at in (0, 1000, 1999, 5000)] == [None, 0, 0, 1]


def test_what_one_file_can_grow_to_is_bounded() -> None:
    """A line with thousands of stamps and words is no way to fill the memory."""
    assert len(parse_lrc(("[00:01]" * 5000 + "x\n") * 20).lines) == MAX_LINES


@given(st.text(alphabet="[]<>:.,0123456789 \nabofst+-\ufeff", max_size=200))
def test_nothing_is_an_error(text: str) -> None:
    """Whatever the text, lyrics come out, in order of time."""
    lines = parse_lrc(text).lines
    times = [line.at for line in lines if line.at is not None]
    assert times == sorted(times)
    assert len(times) in {0, len(lines)}


_TEXT = st.text(alphabet="abc déjà 歌", max_size=12).map(str.strip)
_LINES = st.lists(
    st.tuples(st.integers(0, 300_000), _TEXT, st.lists(st.tuples(st.integers(0, 500), st.sampled_from(["la ", "so"])))),
    min_size=1,
    max_size=20,
)


@given(_LINES)
def test_what_is_written_reads_back(raw: list[tuple[int, str, list[tuple[int, str]]]]) -> None:
    """Lines, words and tags survive writing and reading, to the hundredth of a second."""
    lines = []
    for at, text, pieces in sorted(raw, key=lambda line: line[0]):
        words = tuple(LyricWord(DurationMs((at + step) * 10), piece) for step, piece in pieces)
        whole = "".join(word.text for word in words) if words else text
        if words:
            words = (*words[:-1], LyricWord(words[-1].at, words[-1].text.rstrip()))
            whole = "".join(word.text for word in words)
        lines.append(LyricLine(whole, DurationMs(at * 10), words))
    sheet = LyricSheet(tuple(lines), (("ar", "Someone"),))
    assert parse_lrc(format_lrc(sheet)) == sheet
