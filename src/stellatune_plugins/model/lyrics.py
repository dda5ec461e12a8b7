"""Lyrics, with and without times; as text they are written in LRC (see :mod:`stellatune_plugins.model.lrc`)."""

from __future__ import annotations

import msgspec

from stellatune_plugins.model.ids import DurationMs


class LyricWord(msgspec.Struct, frozen=True):
    """A piece of a line and when it begins."""

    at: DurationMs
    text: str


class LyricLine(msgspec.Struct, frozen=True):
    """One line."""

    text: str
    at: DurationMs | None = None
    """When it begins; ``None`` in lyrics without times."""
    words: tuple[LyricWord, ...] = ()
    """The same text in pieces with times of their own, where those are known. Joined, they give ``text``."""


class LyricSheet(msgspec.Struct, frozen=True):
    """The lyrics of a track. Lines with times are in order of time."""

    lines: tuple[LyricLine, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    """Names in lower case (``ti``, ``ar``, ``al``, ``by``) and values. The offset is applied, not kept."""

    @property
    def synchronised(self) -> bool:
        """Whether the lines have times."""
        return any(line.at is not None for line in self.lines)

    def line_at(self, position: DurationMs) -> int | None:
        """The index of the line that is sung at a position; ``None`` before the first."""
        found = None
        for index, line in enumerate(self.lines):
            if line.at is not None and line.at <= position:
                found = index
        return found
