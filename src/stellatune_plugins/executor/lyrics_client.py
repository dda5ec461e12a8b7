"""A wasm lyrics provider behind the capability interface."""

from __future__ import annotations

from collections.abc import Sequence

from stellatune_plugins.executor.client import Executor
from stellatune_plugins.executor.instance_client import WasmInstance
from stellatune_plugins.executor.messages import (
    Candidate,
    Candidates,
    FetchLyrics,
    LyricsArguments,
    SearchLyrics,
    Text,
)
from stellatune_plugins.model import AbilityKey


class WasmLyrics:
    """Makes providers of one ability; serves :class:`~stellatune_plugins.contract.Lyrics`.

    Args:
        executor: where the plugin is active.
        ability: which ability of which plugin.
    """

    def __init__(self, executor: Executor, ability: AbilityKey) -> None:
        self._executor = executor
        self.ability = ability

    def create(self) -> WasmLyricsProvider:
        """A provider, in a cell of its own."""
        return WasmLyricsProvider(self._executor, self.ability)


class WasmLyricsProvider(WasmInstance):
    """One provider; serves :class:`~stellatune_plugins.contract.LyricsProvider`. For one thread at a time."""

    def __init__(self, executor: Executor, ability: AbilityKey) -> None:
        super().__init__(executor, ability, LyricsArguments())

    def search(self, keyword: str) -> Sequence[Candidate]:
        return self._call(SearchLyrics(keyword), Candidates).found

    def fetch(self, candidate_id: str) -> str:
        return self._call(FetchLyrics(candidate_id), Text).text or ""
