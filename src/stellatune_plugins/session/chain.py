"""A session's chain: hot-path stages fused, component and native stages between them, whatever the order."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from stellatune_plugins.errors import ValueInvalid
from stellatune_plugins.hotpath import FusedChain
from stellatune_plugins.model import AudioSpec, Block, Frames, StageReport
from stellatune_plugins.session.control import StageControl
from stellatune_plugins.session.host_stage import HostStage

_log = logging.getLogger(__name__)


class Node(Protocol):
    """Some stages in a row that are run together."""

    def process(self, block: Block) -> Block: ...

    def latency(self) -> Frames: ...

    def tail(self) -> Frames | None: ...

    def reports(self) -> tuple[StageReport, ...]: ...


@dataclasses.dataclass(frozen=True, slots=True)
class FusedNode:
    """Neighbouring hot-path stages, ``first`` to ``end`` of the session's fused chain."""

    fused: FusedChain
    first: int
    end: int

    def process(self, block: Block) -> Block:
        return self.fused.process(block, self.first, self.end)

    def latency(self) -> Frames:
        return self.fused.latency(self.first, self.end)

    def tail(self) -> Frames | None:
        return self.fused.tail(self.first, self.end)

    def reports(self) -> tuple[StageReport, ...]:
        return self.fused.reports()[self.first : self.end]


@dataclasses.dataclass(frozen=True, slots=True)
class HostNode:
    """One stage that the host calls."""

    stage: HostStage

    def process(self, block: Block) -> Block:
        return self.stage.process(block)

    def latency(self) -> Frames:
        return self.stage.latency()

    def tail(self) -> Frames | None:
        return self.stage.tail()

    def reports(self) -> tuple[StageReport, ...]:
        return (self.stage.report(),)


@dataclasses.dataclass(frozen=True, slots=True)
class AbsentNode:
    """A stage whose plugin could not be started: the music goes round it."""

    report: StageReport

    def process(self, block: Block) -> Block:
        return block

    def latency(self) -> Frames:
        return Frames(0)

    def tail(self) -> Frames | None:
        return Frames(0)

    def reports(self) -> tuple[StageReport, ...]:
        return (self.report,)


class Closes(Protocol):
    """Something that the chain ends with itself."""

    def close(self) -> None: ...


class SessionChain:
    """Serves :class:`~stellatune_plugins.session.stages.Chain`.

    Args:
        nodes: in the order of the music.
        input_spec: what goes in.
        output_spec: what comes out.
        owned: closed with the chain, the last first.
        controls: one a stage, in order.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        *,
        input_spec: AudioSpec,
        output_spec: AudioSpec,
        owned: Sequence[Closes],
        controls: Sequence[StageControl] = (),
    ) -> None:
        self._nodes = tuple(nodes)
        self.stages = tuple(controls)
        """For changing stages while the music plays, between two calls of :meth:`process`."""
        self._input_spec = input_spec
        self._output_spec = output_spec
        self._owned = list(owned)

    @property
    def input_spec(self) -> AudioSpec:
        return self._input_spec

    @property
    def output_spec(self) -> AudioSpec:
        return self._output_spec

    def latency(self) -> Frames:
        return Frames(sum(node.latency() for node in self._nodes))

    def tail(self) -> Frames | None:
        tails = [node.tail() for node in self._nodes]
        known = [tail for tail in tails if tail is not None]
        return Frames(sum(known)) if len(known) == len(tails) else None

    def process(self, block: Block) -> Block:
        """Any number of frames, of any strides; see :class:`~stellatune_plugins.session.stages.Chain`.

        Raises:
            ValueInvalid: the block is no float32 of the input's channels.
        """
        channels = self._input_spec.channels
        if not isinstance(block, np.ndarray) or block.dtype != np.float32:
            raise ValueInvalid(f"a block of {getattr(block, 'dtype', type(block).__name__)} is no array of float32")
        if block.ndim != 2 or block.shape[1] != channels:
            raise ValueInvalid(f"a block of shape {block.shape} is not (frames, {channels})")
        if not len(block):
            return np.empty((0, self._output_spec.channels), np.float32)
        block = np.ascontiguousarray(block)
        for node in self._nodes:
            block = node.process(block)
        return block

    def reports(self) -> tuple[StageReport, ...]:
        return tuple(report for node in self._nodes for report in node.reports())

    def close(self) -> None:
        """End everything that is owned, whatever of it fails. May be called again.

        Raises:
            Exception: the first failure; further ones are logged.
        """
        first: Exception | None = None
        while self._owned:
            try:
                self._owned.pop().close()
            except Exception as error:  # noqa: BLE001 - the rest is to be ended too; the first one is raised below
                if first is None:
                    first = error
                else:
                    _log.warning("closing a chain failed further: %s", error, exc_info=error)
        if first is not None:
            raise first
