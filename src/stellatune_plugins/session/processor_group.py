"""The processors that serve one stage, and what they are believed: nothing."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from contextlib import AbstractContextManager

import msgspec
import numpy as np

from stellatune_plugins.contract import DspProcessor
from stellatune_plugins.errors import GuestContract, StellatuneError
from stellatune_plugins.hotpath import HotPathSettings, Mapping
from stellatune_plugins.model import AudioSpec, Block, ConfigUpdateMode, ConfigUpdatePlan, Frames, RuntimeKind
from stellatune_plugins.session import channel_map
from stellatune_plugins.session.plugin_calls import calling

MAX_CHANNELS = 64
"""The most that a processor may put out, as for components."""

_SEVERITY = {ConfigUpdateMode.HOT_APPLY: 0, ConfigUpdateMode.RECREATE: 1, ConfigUpdateMode.REJECT: 2}


class Measures(msgspec.Struct, frozen=True):
    """What the rest of the chain builds on."""

    latency: Frames
    tail: Frames | None
    width: int
    """Channels of each processor's output."""


class ProcessorGroup:
    """One processor, or one for each channel.

    Every method may raise :class:`~stellatune_plugins.errors.StellatuneError`, and nothing else, whatever the
    processors raise.

    Args:
        processors: configured; the group ends them.
        runtime: decides how their exceptions are named.
        plugin: for errors.
        spec: the chain's shape at their stage.
        mapping: how its channels reach them.
        settings: how much latency and tail are plausible.
        config_json: the effective configuration that they were made with, where it is known.
    """

    def __init__(
        self,
        processors: Sequence[DspProcessor],
        *,
        runtime: RuntimeKind,
        plugin: str,
        spec: AudioSpec,
        mapping: Mapping,
        settings: HotPathSettings,
        config_json: str | None,
    ) -> None:
        self._processors = tuple(processors)
        self._runtime = runtime
        self._plugin = plugin
        self._spec = spec
        self._mapping = mapping
        self._settings = settings
        self._config_json = config_json
        self._changed: tuple[DspProcessor, ...] = ()
        self._width = 0

    def _calling(self, operation: str) -> AbstractContextManager[None]:
        return calling(self._runtime, self._plugin, operation)

    def measure(self) -> Measures:
        """Ask for latency, tail and output channels. To be called before :meth:`process`.

        Raises:
            GuestContract: an answer is not plausible, or the processors' latencies differ.
        """
        rate, settings = self._spec.sample_rate, self._settings
        with self._calling("dsp.latency"):
            limit = round(settings.max_latency_seconds * rate)
            latencies = {plausible("latency", each.latency(), 0, limit) for each in self._processors}
        if len(latencies) != 1:
            raise GuestContract(f"its instances report different latencies: {sorted(latencies)}", plugin=self._plugin)
        with self._calling("dsp.tail"):
            limit = round(settings.max_tail_seconds * rate)
            answers = [each.tail() for each in self._processors]
            tails = [plausible("tail", answer, 0, limit) for answer in answers if answer is not None]
        width = channel_map.width(self._mapping, self._spec.channels)
        if self._mapping is Mapping.DIRECT:
            with self._calling("dsp.channels"):
                width = plausible("output width", self._processors[0].output_channels(), 1, MAX_CHANNELS)
        self._width = width
        endless = len(tails) < len(self._processors)
        return Measures(Frames(latencies.pop()), None if endless else Frames(max(tails)), width)

    def process(self, block: Block) -> list[Block]:
        """One result a processor, float32 of shape ``(frames, width)``, the caller's own. ``block`` is not changed.

        Raises:
            GuestContract: a result is something else.
        """
        results = []
        for index, processor in enumerate(self._processors):
            given = channel_map.gather(self._mapping, block, index)
            with self._calling("dsp.process"):
                results.append(_own(processor.process(given), (len(block), self._width)))
        return results

    def plan(self, config_json: str) -> ConfigUpdatePlan:
        """How they would take a configuration: the answer of the one that minds it most."""
        with self._calling("config.plan"):
            plans = [processor.plan_config(config_json) for processor in self._processors]
            return max(plans, key=lambda plan: _SEVERITY[plan.mode])

    def apply(self, config_json: str) -> None:
        """Give them all an effective configuration. Where one fails, :meth:`take_back` undoes the rest."""
        for number, processor in enumerate(self._processors):
            self._changed = self._processors[:number]
            with self._calling("config.apply"):
                processor.apply_config(config_json)
        self._changed, self._config_json = (), config_json

    def take_back(self) -> None:
        """Give those that took what :meth:`apply` failed over the configuration before.

        Raises:
            GuestContract: there is none that could be given.
        """
        changed, self._changed = self._changed, ()
        if changed and self._config_json is None:
            raise GuestContract("only some of its instances took a configuration", plugin=self._plugin)
        for processor in changed:
            with self._calling("config.apply"):
                processor.apply_config(self._config_json or "{}")

    def hand_over(self, fresh: ProcessorGroup) -> None:
        """Give the state to a group of as many processors."""
        for old, new in zip(self._processors, fresh._processors, strict=True):
            with self._calling("state.export"):
                state = old.export_state()
            if state is not None:
                with self._calling("state.import"):
                    new.import_state(state)

    def close(self) -> tuple[StellatuneError, ...]:
        """End every processor; gives what went wrong. May be called again."""
        processors, self._processors = self._processors, ()
        failures = []
        for processor in processors:
            try:
                with self._calling("dsp.close"):
                    processor.close()
            except StellatuneError as error:
                failures.append(error)
        return tuple(failures)


def plausible(name: str, answer: object, low: int, high: int) -> int:
    """A number that a processor says of itself, within its bounds.

    Raises:
        GuestContract: it is outside, or no whole number.
    """
    try:
        count = operator.index(answer)  # type: ignore[arg-type]
    except TypeError as error:
        raise GuestContract(f"{name}: {type(answer).__name__} is no whole number") from error
    if not low <= count <= high:
        raise GuestContract(f"{name}: {count} is not plausible")
    return count


def _own(result: object, shape: tuple[int, int]) -> Block:
    """A result that a processor can no longer change, since it may go on using its buffer."""
    if not isinstance(result, np.ndarray):
        raise GuestContract(f"process gave {type(result).__name__} instead of an array")
    if result.dtype != np.float32 or result.shape != shape:
        raise GuestContract(f"process gave {result.dtype} of shape {result.shape} instead of float32 of shape {shape}")
    return np.array(result, np.float32, order="C")
