"""The seams of a session: what a chain is, and how one is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from stellatune_plugins.model import AudioSpec, Block, Frames, StageReport


class Chain(Protocol):
    """DSP stages in a row, of whatever runtime."""

    @property
    def input_spec(self) -> AudioSpec: ...

    @property
    def output_spec(self) -> AudioSpec: ...

    def latency(self) -> Frames:
        """Frames by which the output lags the input."""
        ...

    def tail(self) -> Frames | None:
        """Frames of sound after the input's end, latency included; ``None`` for a tail without end."""
        ...

    def process(self, block: Block) -> Block:
        """Any number of frames in, as many out. The result is valid until the next call only."""
        ...

    def reports(self) -> tuple[StageReport, ...]:
        """One report a stage, in order."""
        ...

    def close(self) -> None:
        """May be called again."""
        ...


ChainFactory = Callable[[AudioSpec], Chain]
"""Makes a fresh chain for a stream of this shape."""


class IdentityChain:
    """No stage at all: what comes in goes out."""

    def __init__(self, spec: AudioSpec) -> None:
        self._spec = spec

    @property
    def input_spec(self) -> AudioSpec:
        return self._spec

    @property
    def output_spec(self) -> AudioSpec:
        return self._spec

    def latency(self) -> Frames:
        return Frames(0)

    def tail(self) -> Frames | None:
        return Frames(0)

    def process(self, block: Block) -> Block:
        return block

    def reports(self) -> tuple[StageReport, ...]:
        return ()

    def close(self) -> None:
        pass
