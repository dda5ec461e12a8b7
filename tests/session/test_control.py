"""A configuration is in force everywhere or nowhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import pytest

from stellatune_plugins.contract import DspProcessor
from stellatune_plugins.errors import CallDeadline, ConfigRejected, GuestTrap, StellatuneError
from stellatune_plugins.hotpath import FusedChain, HotPathSettings, Mapping
from stellatune_plugins.model import (
    AudioSpec,
    Block,
    ConfigUpdateMode,
    ConfigUpdatePlan,
    Frames,
    RuntimeKind,
    SampleRate,
)
from stellatune_plugins.observe import EventBus
from stellatune_plugins.session.control import HostControl, HotControl
from stellatune_plugins.session.host_stage import HostStage
from stellatune_plugins.session.stage_journal import StageIdentity


class Processor:
    """Multiplies by the number that its configuration is; fails over some."""

    def __init__(self, config: str = "1", mode: ConfigUpdateMode = ConfigUpdateMode.HOT_APPLY) -> None:
        self.config = config
        self.mode = mode
        self.fails: dict[str, Exception] = {}
        self.closed = False

    def process(self, block: Block) -> Block:
        return block * np.float32(self.config)

    def output_channels(self) -> int:
        return 1

    def latency(self) -> Frames:
        return Frames(0)

    def tail(self) -> Frames | None:
        return Frames(0)

    def plan_config(self, config_json: str) -> ConfigUpdatePlan:
        return ConfigUpdatePlan(self.mode)

    def apply_config(self, config_json: str) -> None:
        if config_json in self.fails:
            raise self.fails[config_json]
        self.config = config_json

    def export_state(self) -> str | None:
        return self.config

    def import_state(self, state_json: str) -> None:
        self.config = state_json

    def close(self) -> None:
        self.closed = True


class Wanted:
    """What the next processors are to be made with."""

    def __init__(self) -> None:
        self.config: str | None = "1"
        self.fail: StellatuneError | None = None
        self.made: list[Processor] = []

    def remember(self, config_json: str | None) -> str | None:
        before, self.config = self.config, config_json
        return before

    def make(self) -> list[DspProcessor]:
        if self.fail is not None:
            raise self.fail
        fresh = [Processor(self.config or "") for _ in range(2)]
        self.made += fresh
        return cast("list[DspProcessor]", fresh)


def control(wanted: Wanted) -> HostControl:
    """Of a stage with two processors, one a channel."""
    stage = HostStage(
        StageIdentity(0, "test.plugin", "dsp", RuntimeKind.WASM),
        wanted.make,
        spec=AudioSpec(SampleRate(48000), 2),
        mapping=Mapping.PER_CHANNEL,
        bus=EventBus(),
        settings=HotPathSettings(replacement_pauses=(0.0,)),
        config_json="1",
    )
    return HostControl(stage, lambda config: config, wanted.remember)


def levels(made: HostControl) -> list[float]:
    """What becomes of ones, in the end."""
    return [float(sample) for sample in made.stage.process(np.ones((1000, 2), np.float32))[-1]]


def test_a_configuration_that_is_taken_is_remembered() -> None:
    """For the processors that come after a crash."""
    wanted = Wanted()
    made = control(wanted)
    made.configure("3")
    assert levels(made) == [3, 3]
    assert wanted.config == "3"


def test_one_refusal_leaves_every_processor_as_it_was() -> None:
    """And nothing is remembered."""
    wanted = Wanted()
    made = control(wanted)
    wanted.made[1].fails["3"] = ConfigRejected("no")
    with pytest.raises(ConfigRejected):
        made.configure("3")
    assert levels(made) == [1, 1]
    assert wanted.config == "1"


def test_one_plan_that_rejects_is_enough() -> None:
    """Nobody is given anything."""
    wanted = Wanted()
    made = control(wanted)
    wanted.made[1].mode = ConfigUpdateMode.REJECT
    with pytest.raises(ConfigRejected):
        made.configure("3")
    assert levels(made) == [1, 1]


def test_a_trap_over_a_configuration_brings_back_the_old_one() -> None:
    """Recovery makes processors with what was good."""
    wanted = Wanted()
    made = control(wanted)
    wanted.made[1].fails["3"] = GuestTrap("trapped")
    with pytest.raises(GuestTrap):
        made.configure("3")
    assert wanted.config == "1"
    levels(made)
    assert levels(made) == [1, 1]
    assert len(wanted.made) == 4
    (bypass,) = made.stage.report().bypasses
    assert bypass.until_frame == 1000


def test_a_remade_stage_has_the_new_configuration() -> None:
    """Though the old processors' state has the old one in it."""
    wanted = Wanted()
    made = control(wanted)
    wanted.made[0].mode = ConfigUpdateMode.RECREATE
    made.configure("3")
    assert levels(made) == [3, 3]
    assert [processor.closed for processor in wanted.made] == [True, True, False, False]


def test_a_remake_that_fails_is_forgotten() -> None:
    """The present processors go on, and so does their configuration."""
    wanted = Wanted()
    made = control(wanted)
    wanted.made[0].mode = ConfigUpdateMode.RECREATE
    wanted.fail = GuestTrap("trapped")
    with pytest.raises(GuestTrap):
        made.configure("3")
    assert levels(made) == [1, 1]
    assert wanted.config == "1"


def test_a_dead_stage_takes_a_configuration() -> None:
    """It comes back with it."""
    wanted = Wanted()
    made = control(wanted)
    wanted.made[0].config = "no number"  # what a processor raises over it is the host's own fault
    wanted.fail = GuestTrap("trapped")
    levels(made), levels(made)
    wanted.fail = None
    made.configure("3")
    assert levels(made) == [3, 3]


class Fused:
    """The fused chain, which refuses in one way or another."""

    def __init__(self, error: StellatuneError | None) -> None:
        self.error = error
        self.config = "1"

    def configure(self, _: int, config_json: str) -> None:
        if self.error is not None:
            raise self.error
        self.config = config_json


def hot(fused: Fused, processor: Processor) -> HotControl:
    """The control of both."""
    effective: Callable[[str], str] = str
    return HotControl(cast("FusedChain", fused), 0, cast("DspProcessor", processor), effective, "1")


@pytest.mark.parametrize("error", [ConfigRejected("no"), GuestTrap("trapped"), CallDeadline("hung")])
def test_component_and_hot_path_agree(error: StellatuneError) -> None:
    """What the one took and the other did not is taken back."""
    fused, processor = Fused(None), Processor()
    made = hot(fused, processor)
    made.configure("2")
    fused.error = error
    with pytest.raises(type(error)):
        made.configure("3")
    assert (processor.config, fused.config) == ("2", "2")


def test_the_first_error_is_the_one_that_is_told() -> None:
    """A component that does not take its old configuration back is logged."""
    processor = Processor()
    processor.fails["1"] = GuestTrap("never again")
    with pytest.raises(ConfigRejected):
        hot(Fused(ConfigRejected("no")), processor).configure("3")


def test_a_component_that_refuses_spares_the_hot_path() -> None:
    """It is asked first."""
    fused, processor = Fused(None), Processor()
    processor.fails["3"] = ConfigRejected("no")
    with pytest.raises(ConfigRejected):
        hot(fused, processor).configure("3")
    assert fused.config == "1"
