"""A wasm DSP plugin behind the capability interface: thin, since everything it does is sending messages."""

from __future__ import annotations

import numpy as np

from stellatune_plugins.errors import ValueInvalid
from stellatune_plugins.executor.client import Executor
from stellatune_plugins.executor.instance_client import WasmInstance
from stellatune_plugins.executor.messages import (
    DescribeHotPath,
    DspArguments,
    HotPath,
    Number,
    OutputChannels,
    ProcessSamples,
    Samples,
    SupportedLayouts,
)
from stellatune_plugins.executor.results import writable
from stellatune_plugins.model import AbilityKey, AudioSpec, Block, CoreModuleSpec, Frames, Layouts


class WasmDsp:
    """Makes processors of one ability; serves :class:`~stellatune_plugins.contract.Dsp`.

    Args:
        executor: where the plugin is active.
        ability: which ability of which plugin.
    """

    def __init__(self, executor: Executor, ability: AbilityKey) -> None:
        self._executor = executor
        self.ability = ability

    def create(self, spec: AudioSpec) -> WasmDspProcessor:
        """A processor for one stream, in a cell of its own."""
        return WasmDspProcessor(self._executor, self.ability, spec)


class WasmDspProcessor(WasmInstance):
    """One processor; serves :class:`~stellatune_plugins.contract.DspProcessor`. For one thread at a time."""

    def __init__(self, executor: Executor, ability: AbilityKey, spec: AudioSpec) -> None:
        super().__init__(executor, ability, DspArguments(spec))
        self.spec = spec

    def process(self, block: Block) -> Block:
        """See the interface. The result is the caller's own.

        Raises:
            ValueInvalid: the block is not of the stream's shape, or no float32.
        """
        if block.ndim != 2 or block.shape[1] != self.spec.channels or block.dtype != np.float32:
            raise ValueInvalid(
                f"a block of {block.dtype} and shape {block.shape} is none of {self.spec.channels} channels of float32",
                plugin=self.ability.plugin_id,
                operation="dsp.process",
            )
        answer = self._call(ProcessSamples(self.spec.channels, block.tobytes()), Samples)
        return np.frombuffer(writable(answer.samples), dtype="<f4").reshape(len(block), answer.channels)

    def supported_layouts(self) -> Layouts:
        return Layouts(self._call(SupportedLayouts(), Number).value)

    def output_channels(self) -> int:
        return self._call(OutputChannels(), Number).value

    def describe_hot_path(self, spec: AudioSpec) -> CoreModuleSpec | None:
        return self._call(DescribeHotPath(spec), HotPath).spec

    def latency(self) -> Frames:
        """0: the WIT interface has no word for it."""
        return Frames(0)

    def tail(self) -> Frames | None:
        """0: likewise."""
        return Frames(0)
