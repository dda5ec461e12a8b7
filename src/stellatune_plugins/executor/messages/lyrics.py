"""World ``lyrics-plugin``."""

from __future__ import annotations

import msgspec


class LyricsArguments(msgspec.Struct, frozen=True, tag="lyrics"):
    """``lyrics.create`` takes nothing."""


class SearchLyrics(msgspec.Struct, frozen=True, tag="lyrics.search"):
    """Answered by :class:`Candidates`."""

    keyword: str


class FetchLyrics(msgspec.Struct, frozen=True, tag="lyrics.fetch"):
    """Answered by ``Text``."""

    id: str


LyricsRequest = SearchLyrics | FetchLyrics


class Candidate(msgspec.Struct, frozen=True):
    """One search hit; serves :class:`~stellatune_plugins.contract.LyricCandidate`."""

    id: str
    title: str
    artist: str


class Candidates(msgspec.Struct, frozen=True, tag="candidates"):
    """What a search found."""

    found: tuple[Candidate, ...]


LyricsValue = Candidates
