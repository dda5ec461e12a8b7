"""LRC, the text form of lyrics with times: reading every dialect that is about, writing the common one.

A stamp is ``[mm:ss]``, ``[mm:ss.x]`` with one to three places, or ``[mm:ss:xx]``; a line may have several stamps, and
within it ``<mm:ss.xx>`` times its words (the "enhanced" form). ``[name:value]`` are tags; a positive ``offset``, in
milliseconds, has everything come earlier. Nothing is ever an error: what is no LRC is text without times.
"""

from __future__ import annotations

import re
from typing import Final

from stellatune_plugins.model.ids import DurationMs
from stellatune_plugins.model.lyrics import LyricLine, LyricSheet, LyricWord

MAX_TEXT: Final = 1 << 20
"""Characters that are looked at."""
MAX_LINES: Final = 20_000
"""Lines that come out: one with many stamps is many."""

_TIME: Final = r"(\d{1,4}):([0-5]?\d)(?:[.:,](\d{1,3}))?"
_STAMP: Final = re.compile(rf"\s*\[{_TIME}\]")
_WORD: Final = re.compile(rf"<{_TIME}>")
_TAG: Final = re.compile(r"\s*\[([A-Za-z#][\w-]{0,31}):([^\]]*)\]\s*")


def parse_lrc(text: str) -> LyricSheet:
    """Lyrics out of text. With at least one stamp, lines without any are left out; without one, every line is kept."""
    timed: list[LyricLine] = []
    plain: list[LyricLine] = []
    tags: list[tuple[str, str]] = []
    for raw in text[:MAX_TEXT].removeprefix("\ufeff").splitlines():
        stamps, rest = _stamps_of(raw)
        if stamps:
            timed.extend(_timed(stamps, rest))
        elif tag := _TAG.fullmatch(raw):
            tags.append((tag[1].lower(), tag[2].strip()))
        else:
            plain.append(LyricLine(raw.strip()))
        if len(timed) >= MAX_LINES or len(plain) >= MAX_LINES:
            break
    kept = tuple(tag for tag in tags if tag[0] != "offset")
    if not timed:
        return LyricSheet(_trimmed(plain), kept)
    shift = -_offset_of(tags)
    moved = [_moved(line, shift) for line in timed[:MAX_LINES]]
    return LyricSheet(tuple(sorted(moved, key=lambda line: line.at or 0)), kept)


def format_lrc(sheet: LyricSheet) -> str:
    """Lyrics as LRC with hundredths of a second, or as plain lines where there are no times."""
    out = [f"[{name}:{value}]" for name, value in sheet.tags]
    for line in sheet.lines:
        if line.at is None:
            out.append(line.text)
        elif line.words:
            out.append(f"[{_stamp(line.at)}]" + "".join(f"<{_stamp(word.at)}>{word.text}" for word in line.words))
        else:
            out.append(f"[{_stamp(line.at)}]{line.text}")
    return "".join(f"{line}\n" for line in out)


def _ms(match: re.Match[str]) -> int:
    minutes, seconds, places = match[1], match[2], match[3] or "0"
    return int(minutes) * 60_000 + int(seconds) * 1000 + int(places.ljust(3, "0"))


def _stamps_of(raw: str) -> tuple[list[int], str]:
    stamps, at = [], 0
    while match := _STAMP.match(raw, at):
        stamps.append(_ms(match))
        at = match.end()
    return stamps, raw[at:].strip()


def _timed(stamps: list[int], text: str) -> list[LyricLine]:
    """A line for each stamp; the words' times belong to the first stamp and move along with the others."""
    marks = list(_WORD.finditer(text))
    if not marks:
        return [LyricLine(text, DurationMs(at)) for at in stamps]
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    words = [(_ms(mark), text[mark.end() : end]) for mark, end in zip(marks, ends, strict=True)]
    if lead := text[: marks[0].start()]:
        words.insert(0, (stamps[0], lead))
    whole = "".join(word for _, word in words)
    return [
        LyricLine(whole, DurationMs(at), tuple(LyricWord(DurationMs(w + at - stamps[0]), word) for w, word in words))
        for at in stamps
    ]


def _offset_of(tags: list[tuple[str, str]]) -> int:
    for name, value in tags:
        if name == "offset" and re.fullmatch(r"[+-]?\d{1,7}", value):
            return int(value)
    return 0


def _moved(line: LyricLine, shift: int) -> LyricLine:
    def move(at: int) -> DurationMs:
        return DurationMs(max(0, at + shift))

    words = tuple(LyricWord(move(word.at), word.text) for word in line.words)
    return LyricLine(line.text, move(line.at or 0), words)


def _trimmed(lines: list[LyricLine]) -> tuple[LyricLine, ...]:
    while lines and not lines[-1].text:
        lines.pop()
    first = next((index for index, line in enumerate(lines) if line.text), 0)
    return tuple(lines[first:])


def _stamp(at: int) -> str:
    hundredths = round(at / 10)
    return f"{hundredths // 6000:02}:{hundredths // 100 % 60:02}.{hundredths % 100:02}"
