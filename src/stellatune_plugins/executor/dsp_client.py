"""A wasm DSP plugin behind the capability interface: thin, since everything it does is sending messages."""

from __future__ import annotations

import logging
import warnings
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np

from stellatune_plugins.errors import StellatuneError, ValueInvalid
from stellatune_plugins.executor.client import Executor, ask
from stellatune_plugins.executor.messages import (
    Answer,
    ApplyConfig,
    Call,
    CloseInstance,
    CreateInstance,
    DescribeHotPath,
    DspArguments,
    ExportState,
    HotPath,
    ImportState,
    InstanceClosed,
    InstanceCreated,
    InstanceRequest,
    Lift,
    Lifted,
    Nothing,
    Number,
    OutputChannels,
    Plan,
    PlanConfig,
    ProcessSamples,
    Recover,
    Recovered,
    Samples,
    SupportedLayouts,
    Text,
)
from stellatune_plugins.model import AbilityKey, AudioSpec, Block, ConfigUpdatePlan, CoreModuleSpec, Frames, Layouts

_log = logging.getLogger(__name__)

V = TypeVar("V")


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
        created = ask(self._executor, CreateInstance(self.ability, DspArguments(spec)), InstanceCreated)
        return WasmDspProcessor(self._executor, self.ability, spec, created.instance)


class WasmDspProcessor:
    """One processor; serves :class:`~stellatune_plugins.contract.DspProcessor`. For one thread at a time.

    After a trap, a deadline or a breach the call that met it raises that error, and every further one
    :class:`~stellatune_plugins.errors.InstanceDead`, until :meth:`recover`.
    """

    def __init__(self, executor: Executor, ability: AbilityKey, spec: AudioSpec, instance: int) -> None:
        self.ability = ability
        self.spec = spec
        self.instance = instance
        self._executor = executor
        self._closed = False

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
        return np.frombuffer(bytearray(answer.samples), dtype="<f4").reshape(len(block), answer.channels)

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

    def plan_config(self, config_json: str) -> ConfigUpdatePlan:
        return self._call(PlanConfig(config_json), Plan).plan

    def apply_config(self, config_json: str) -> None:
        self._call(ApplyConfig(config_json), Nothing)

    def export_state(self) -> str | None:
        return self._call(ExportState(), Text).text

    def import_state(self, state_json: str) -> None:
        self._call(ImportState(state_json), Nothing)

    def recover(self) -> Recovered:
        """A fresh cell under the same instance, with the last configuration that was taken and the last state.

        Raises:
            InstanceDead: it was replaced too often (``details['barred']``), or closed.
            StellatuneError: the fresh cell failed too.
        """
        return ask(self._executor, Recover(self.instance), Recovered)

    def lift(self) -> None:
        """Allow a barred instance a new budget of replacements."""
        ask(self._executor, Lift(self.instance), Lifted)

    def close(self) -> None:
        """End the instance. What the plugin gets wrong on the way is logged: it is gone all the same."""
        if self._closed:
            return
        self._closed = True
        try:
            closed = ask(self._executor, CloseInstance(self.instance), InstanceClosed)
        except StellatuneError as error:
            _log.warning("closing instance %d of %s failed: %s", self.instance, self.ability.plugin_id, error)
            return
        for failure in closed.failures:
            _log.warning("ending an instance of %s: %s: %s", self.ability.plugin_id, failure.code, failure.message)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            warnings.warn(f"instance {self.instance} was never closed", ResourceWarning, stacklevel=1, source=self)

    def _call(self, request: InstanceRequest, expected: type[V]) -> V:
        value: Any = ask(self._executor, Call(self.instance, request), Answer).value
        if not isinstance(value, expected):
            raise StellatuneError(
                f"the executor answered {type(value).__name__} where {expected.__name__} was due",
                plugin=self.ability.plugin_id,
            )
        return value
