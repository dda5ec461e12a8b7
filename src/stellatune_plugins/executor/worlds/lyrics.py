"""World ``lyrics-plugin``: one provider, and what it found made safe."""

from __future__ import annotations

from typing import Any, Final

from stellatune_plugins.errors import GuestContract, ValueInvalid
from stellatune_plugins.executor.cell import Cell
from stellatune_plugins.executor.guest_text import clean, clean_lines
from stellatune_plugins.executor.messages import (
    Arguments,
    Candidate,
    Candidates,
    FetchLyrics,
    InstanceRequest,
    LyricsArguments,
    SearchLyrics,
    Text,
    Value,
)
from stellatune_plugins.executor.names import LYRICS
from stellatune_plugins.executor.results import unwrap
from stellatune_plugins.executor.streams import StreamTable
from stellatune_plugins.executor.worlds.exported import ExportedInstance

MAX_CANDIDATES: Final = 200
MAX_ID: Final = 4_096
"""Characters of a candidate's id, which goes back to the plugin as it came."""
MAX_NAME: Final = 500
"""Characters of a title or an artist."""
MAX_LYRICS: Final = 1024 * 1024
"""Characters of a song's lyrics."""


class LyricsInstance(ExportedInstance):
    """One ``lyrics.provider`` in its cell.

    Args:
        cell: its home, enabled; nobody else uses it.
    """

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell, LYRICS, "provider", "lyrics")
        self._create("lyrics.create", "create", deadline=self.deadlines.query)

    def _bind(self) -> None:
        self._search = self.method("search")
        self._fetch = self.method("fetch")

    def _answer(self, request: InstanceRequest) -> Value:
        deadline = self.deadlines.query
        match request:
            case SearchLyrics(keyword=keyword):
                return Candidates(_candidates(unwrap(self._search(self.resource, keyword, deadline=deadline))))
            case FetchLyrics(id=candidate):
                return Text(_lyrics(unwrap(self._fetch(self.resource, candidate, deadline=deadline))))
            case _:
                raise self.foreign(request)


def _candidates(records: Any) -> tuple[Candidate, ...]:
    """The best ones, as the plugin has them in order; one whose id is no id cannot be fetched and is left out."""
    return tuple(
        Candidate(record["id"], clean(record["title"], MAX_NAME), clean(record["artist"], MAX_NAME))
        for record in records[:MAX_CANDIDATES]
        if 1 <= len(record["id"]) <= MAX_ID
    )


def _lyrics(text: str) -> str:
    if len(text) > MAX_LYRICS:
        raise GuestContract(f"fetch gave more than {MAX_LYRICS} characters")
    return clean_lines(text, MAX_LYRICS)


def make(cell: Cell, arguments: Arguments, streams: StreamTable) -> LyricsInstance:  # noqa: ARG001 - as for all worlds
    """A provider.

    Raises:
        ValueInvalid: the arguments are those of another world.
    """
    if not isinstance(arguments, LyricsArguments):
        raise ValueInvalid(f"a lyrics provider cannot be made from {type(arguments).__name__}")
    return LyricsInstance(cell)
