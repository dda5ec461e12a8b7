"""A wasm output sink behind the capability interface."""

from __future__ import annotations

from typing import Final

import numpy as np

from stellatune_plugins.errors import ValueInvalid
from stellatune_plugins.executor.client import Executor
from stellatune_plugins.executor.instance_client import WasmInstance
from stellatune_plugins.executor.messages import (
    DescribeSinkHotPath,
    FlushSink,
    HotPath,
    ListTargets,
    Negotiate,
    Negotiated,
    Nothing,
    Number,
    OpenSink,
    QueryStatus,
    ResetSink,
    SinkArguments,
    SinkState,
    Text,
    WriteSamples,
)
from stellatune_plugins.model import (
    AbilityKey,
    AudioSpec,
    Block,
    CoreModuleSpec,
    Frames,
    NegotiatedSpec,
    SinkStatus,
)

MAX_WRITE_BYTES: Final = 256 * 1024
"""Samples that one write hands over at most; the caller writes the rest again, as after any partial write."""


class WasmOutputSink:
    """Makes sink sessions of one ability; serves :class:`~stellatune_plugins.contract.OutputSink`.

    Args:
        executor: where the plugin is active.
        ability: which ability of which plugin.
    """

    def __init__(self, executor: Executor, ability: AbilityKey) -> None:
        self._executor = executor
        self.ability = ability

    def create(self) -> WasmOutputSinkSession:
        """A session, in a cell of its own."""
        return WasmOutputSinkSession(self._executor, self.ability)


class WasmOutputSinkSession(WasmInstance):
    """One output; serves :class:`~stellatune_plugins.contract.OutputSinkSession`. For one thread at a time.

    After :meth:`recover` it is open on the same target again, where it was open; what was queued is lost.
    """

    def __init__(self, executor: Executor, ability: AbilityKey) -> None:
        super().__init__(executor, ability, SinkArguments())

    def list_targets_json(self) -> str:
        return self._call(ListTargets(), Text).text or ""

    def negotiate_spec(self, target_json: str, desired: AudioSpec) -> NegotiatedSpec:
        return self._call(Negotiate(target_json, desired), Negotiated).negotiated

    def describe_hot_path(self, spec: AudioSpec) -> CoreModuleSpec | None:
        return self._call(DescribeSinkHotPath(spec), HotPath).spec

    def open(self, target_json: str, spec: AudioSpec) -> None:
        self._call(OpenSink(target_json, spec), Nothing)

    def write(self, block: Block) -> Frames:
        """See the interface. A large block is accepted in part.

        Raises:
            ValueInvalid: the block is no float32 of shape ``(frames, channels)``.
        """
        if block.ndim != 2 or block.dtype != np.float32:
            raise ValueInvalid(
                f"a block of {block.dtype} and shape {block.shape} is none of float32 frames",
                plugin=self.ability.plugin_id,
                operation="sink.write",
            )
        channels = block.shape[1]
        taken = block[: max(1, MAX_WRITE_BYTES // (4 * max(1, channels)))]
        return Frames(self._call(WriteSamples(channels, taken.tobytes()), Number).value)

    def status(self) -> SinkStatus:
        return self._call(QueryStatus(), SinkState).status

    def flush(self) -> None:
        self._call(FlushSink(), Nothing)

    def reset(self) -> None:
        self._call(ResetSink(), Nothing)
