"""A dead processor comes back with what it had, a bounded number of times."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from stellatune_plugins.errors import CallDeadline, GuestTrap, InstanceDead
from stellatune_plugins.executor import InstanceState, ReplacementPolicy, Status, StatusReport, ask
from stellatune_plugins.model import Block
from stellatune_plugins.observe.events import CellReplaced

TRAP, LOOP = (np.full((8, 2), value, np.float32) for value in (666, 667))


class Clock:
    """Seconds that a test turns on."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def _crash(processor: Any) -> None:
    with pytest.raises(GuestTrap):
        processor.process(TRAP)


def test_it_plays_again(stage: Any, block: Block) -> None:
    """The same processor object, the same instance, a fresh cell."""
    with stage.processor() as processor:
        _crash(processor)
        recovered = processor.recover()
        assert (recovered.replaced, recovered.instance) == (True, processor.instance)
        np.testing.assert_array_equal(processor.process(block), block)


def test_the_last_configuration_comes_back(stage: Any, block: Block) -> None:
    """The last one that was taken, not the last that was tried."""
    with stage.processor() as processor:
        processor.apply_config('{"gain": 2}')
        processor.apply_config('{"gain": 4}')
        with pytest.raises(Exception, match="one digit"):
            processor.apply_config('{"gain": "x"}')
        _crash(processor)
        assert processor.recover().config_restored
        np.testing.assert_array_equal(processor.process(block), block * 4)


def test_exported_state_comes_back(stage: Any, block: Block) -> None:
    """As old as its last export: the guest is dead, nobody can ask it any more."""
    with stage.processor() as processor:
        processor.process(block)
        processor.process(block)
        processor.export_state()
        processor.process(block)
        _crash(processor)
        assert processor.recover().state_restored
        assert json.loads(processor.export_state()) == {"blocks": 102}


def test_without_state_and_configuration_it_starts_afresh(stage: Any, block: Block) -> None:
    """And says so."""
    with stage.processor() as processor:
        _crash(processor)
        recovered = processor.recover()
        assert (recovered.config_restored, recovered.state_restored) == (False, False)


def test_a_live_instance_stays(stage: Any, block: Block) -> None:
    """Recovering what needs none costs nothing from the budget."""
    with stage.processor() as processor:
        for _ in range(10):
            assert not processor.recover().replaced
        processor.process(block)


def test_a_deadline_is_recovered_from(stage: Any, block: Block) -> None:
    """As a trap is."""
    with stage.processor() as processor:
        with pytest.raises(CallDeadline):
            processor.process(LOOP)
        processor.recover()
        np.testing.assert_array_equal(processor.process(block), block)


def test_a_replacement_is_an_event(stage: Any) -> None:
    """With the reason's code."""
    with stage.processor() as processor, stage.bus.recording() as events:
        _crash(processor)
        processor.recover()
    (event,) = [e for e in events if isinstance(e, CellReplaced)]
    assert (event.plugin, event.component, event.reason) == ("org.example.actor", "main", "guest-trap")


def test_a_crash_loop_is_barred(make_stage: Any, block: Block) -> None:
    """After so many replacements in so long; the bar holds until it is lifted."""
    clock = Clock()
    stage = make_stage(replacements=ReplacementPolicy(2, 60), clock=clock)
    with stage.processor() as processor:
        for _ in range(2):
            _crash(processor)
            processor.recover()
        _crash(processor)
        clock.now += 30
        with pytest.raises(InstanceDead, match="2 times within 60 s") as caught:
            processor.recover()
        assert caught.value.details["barred"] is True
        (status,) = ask(stage.executor, Status(), StatusReport).instances
        assert (status.state, status.replacements) == (InstanceState.BARRED, 2)
        clock.now += 3600
        for use in (processor.recover, processor.output_channels):
            with pytest.raises(InstanceDead, match="barred"):
                use()
        processor.lift()
        processor.recover()
        np.testing.assert_array_equal(processor.process(block), block)


def test_rare_crashes_are_always_recovered(make_stage: Any, block: Block) -> None:
    """The window moves on."""
    clock = Clock()
    stage = make_stage(replacements=ReplacementPolicy(1, 60), clock=clock)
    with stage.processor() as processor:
        for _ in range(5):
            _crash(processor)
            processor.recover()
            clock.now += 61
        processor.process(block)


def test_a_state_that_kills_is_offered_once(stage: Any) -> None:
    """A guest that traps on its own state would otherwise never come back."""
    with stage.processor("import:trap") as processor:
        processor.export_state()
        _crash(processor)
        with pytest.raises(GuestTrap):
            processor.recover()
        recovered = processor.recover()
        assert (recovered.replaced, recovered.state_restored) == (True, False)
        assert processor.output_channels() == 2


def test_a_state_that_is_refused_is_left_out(stage: Any) -> None:
    """The fresh instance goes on without, and the reply says so."""
    with stage.processor("import:error") as processor:
        processor.export_state()
        _crash(processor)
        recovered = processor.recover()
        assert (recovered.replaced, recovered.state_restored) == (True, False)


def test_a_closed_instance_does_not_come_back(stage: Any) -> None:
    """Closing is final."""
    processor = stage.processor()
    processor.close()
    with pytest.raises(InstanceDead):
        processor.recover()
