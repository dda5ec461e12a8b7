"""Guests that misbehave at every hook: the right error each, a dead cell, and a host that goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stellatune_plugins.errors import (
    CallDeadline,
    GuestContract,
    GuestTrap,
    HookFailed,
    InstanceDead,
    PluginFailure,
    StellatuneError,
)
from stellatune_plugins.executor import CloseInstance, Deactivate, Deactivated, Status, StatusReport, ask
from stellatune_plugins.executor.messages import InstanceClosed
from stellatune_plugins.model import AudioSpec, Block, DisableReason, SampleRate
from stellatune_plugins.observe.events import (
    CallDeadlineExceeded,
    GuestTrapped,
    PluginDisabled,
    PluginEnabled,
    PluginFailed,
)

SPEC = AudioSpec(SampleRate(48_000), 2)

# Growing to the limit ends in the guest's own trap: memory.grow answers -1, it never kills the host.
DEEDS = {"trap": GuestTrap, "loop": CallDeadline, "grow": GuestTrap}
DEED_LIST = list(DEEDS)

CALLS: dict[str, Callable[[Any], Any]] = {
    "describe": lambda p: p.describe_hot_path(SPEC),
    "layouts": lambda p: p.supported_layouts(),
    "channels": lambda p: p.output_channels(),
    "process": lambda p: p.process(np.zeros((64, 2), np.float32)),
    "plan": lambda p: p.plan_config("{}"),
    "apply": lambda p: p.apply_config("{}"),
    "export": lambda p: p.export_state(),
    "import": lambda p: p.import_state('{"blocks":100}'),
}
OPERATIONS = {
    "describe": "dsp.describe-hot-path",
    "layouts": "dsp.supported-layouts",
    "channels": "dsp.output-channels",
    "process": "dsp.process",
    "plan": "config.plan",
    "apply": "config.apply",
    "export": "state.export",
    "import": "state.import",
}


def _status(stage: Any) -> StatusReport:
    return ask(stage.executor, Status(), StatusReport)


@pytest.mark.parametrize("deed", DEED_LIST)
@pytest.mark.parametrize("hook", CALLS)
def test_a_call_that_breaks_kills_its_instance_alone(stage: Any, hook: str, deed: str) -> None:
    """The error comes once, with every field; further calls find the instance dead; the sibling goes on."""
    dsp = stage.dsp(f"{hook}:{deed}")
    with dsp.create(SPEC) as guilty, dsp.create(SPEC) as sibling:
        with pytest.raises(DEEDS[deed]) as caught:
            CALLS[hook](guilty)
        error = caught.value
        assert type(error) is DEEDS[deed]
        assert (error.plugin, error.component, error.operation) == ("org.example.actor", "main", OPERATIONS[hook])
        with pytest.raises(InstanceDead) as dead:
            guilty.output_channels()
        assert dead.value.details["because"] == error.code
        for name, call in CALLS.items():
            if name != hook and not (hook == "channels" and name == "process"):
                call(sibling)


@pytest.mark.parametrize("deed", DEED_LIST)
def test_create_that_breaks_leaves_nothing(stage: Any, deed: str) -> None:
    """No instance is counted, and the plugin stays active for the next try."""
    dsp = stage.dsp(f"create:{deed}")
    for _ in range(2):
        with pytest.raises(DEEDS[deed]) as caught:
            dsp.create(SPEC)
        assert caught.value.operation == "dsp.create"
    report = _status(stage)
    assert report.instances == ()
    assert report.plugins[0].instances == 0


@pytest.mark.parametrize("deed", [*DEED_LIST, "error"])
def test_on_enable_that_breaks_fails_the_activation(stage: Any, deed: str) -> None:
    """A HookFailed with its cause, an event, and no active plugin."""
    with stage.bus.recording() as events, pytest.raises(HookFailed) as caught:
        stage.enable(f"on-enable:{deed}")
    error = caught.value
    assert error.operation == "lifecycle.on-enable"
    assert type(error.__cause__) is {**DEEDS, "error": PluginFailure}[deed]
    failed = [e for e in events if isinstance(e, PluginFailed)]
    assert [(e.operation, e.code) for e in failed] == [("lifecycle.on-enable", "hook-failed")]
    assert not [e for e in events if isinstance(e, PluginEnabled)]
    assert _status(stage).plugins == ()


@pytest.mark.parametrize("deed", DEED_LIST)
def test_start_code_that_breaks_fails_the_activation(stage: Any, deed: str) -> None:
    """Instantiation runs guest code too, and has a deadline."""
    with pytest.raises(DEEDS[deed]) as caught:
        stage.enable(f"start:{deed}")
    assert caught.value.operation == "activate"
    assert caught.value.plugin == "org.example.actor"
    assert _status(stage).plugins == ()


@pytest.mark.parametrize("deed", [*DEED_LIST, "error"])
def test_on_disable_that_breaks_forces_the_teardown(stage: Any, deed: str) -> None:
    """The plugin is gone all the same; reply and event say that it was forced, and why."""
    package = stage.enable(f"on-disable:{deed}")
    with stage.bus.recording() as events:
        reply = ask(stage.executor, Deactivate(package.id, DisableReason.HOST_DISABLE), Deactivated)
    assert reply.forced
    failure = reply.failures[0].to_error()
    assert isinstance(failure, HookFailed)
    assert type(failure.__cause__) is {**DEEDS, "error": PluginFailure}[deed]
    assert [(e.reason, e.forced) for e in events if isinstance(e, PluginDisabled)] == [("host-disable", True)]
    assert _status(stage).plugins == ()


@pytest.mark.parametrize("hook", ["close", "drop"])
@pytest.mark.parametrize("deed", DEED_LIST)
def test_an_end_that_breaks_is_an_end(stage: Any, hook: str, deed: str) -> None:
    """``close`` and the destructor cannot keep an instance alive."""
    processor = stage.processor(f"{hook}:{deed}")
    closed = ask(stage.executor, CloseInstance(processor.instance), InstanceClosed)
    assert closed.forced
    assert type(closed.failures[0].to_error()) is DEEDS[deed]
    assert closed.failures[0].operation == f"dsp.{hook}"
    assert _status(stage).instances == ()
    processor.close()


def test_a_breaking_end_is_not_raised_at_the_client(stage: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Cleaning up goes on; the log says what was wrong."""
    processor = stage.processor("drop:trap")
    processor.close()
    assert "guest-trap" in caplog.text


LIES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "process:short": (CALLS["process"], "process gave 504 bytes"),
    "process:long": (CALLS["process"], "process gave 520 bytes"),
    "process:odd": (CALLS["process"], "process gave 511 bytes"),
    "process:empty": (CALLS["process"], "process gave 0 bytes"),
    "channels:zero": (CALLS["channels"], "output-channels gave 0"),
    "channels:many": (CALLS["channels"], "output-channels gave 65"),
    "layouts:zero": (CALLS["layouts"], "no layout"),
    "export:garbage": (CALLS["export"], "no JSON"),
    "export:huge": (CALLS["export"], "more than"),
}


@pytest.mark.parametrize("part", LIES)
def test_a_lie_breaks_the_contract(stage: Any, part: str) -> None:
    """What cannot be is never passed on; the cell that said it is replaced, not believed again."""
    call, said = LIES[part]
    with stage.processor(part) as processor:
        with pytest.raises(GuestContract, match=said) as caught:
            call(processor)
        assert caught.value.component == "main"
        with pytest.raises(InstanceDead):
            processor.export_state()


@pytest.mark.parametrize("part", ["plan:wild", "process:wild", "export:binary"])
def test_values_that_cannot_be_read_end_the_call(stage: Any, part: str) -> None:
    """An enum case that is not there, a list outside memory, text that is no UTF-8."""
    with stage.processor(part) as processor:
        with pytest.raises((GuestTrap, GuestContract)):
            CALLS[part.partition(":")[0]](processor)
        with pytest.raises(InstanceDead):
            processor.supported_layouts()


@pytest.mark.parametrize("hook", ["describe", "process", "plan", "apply", "export", "import"])
def test_an_error_answer_is_no_crash(stage: Any, hook: str, block: Block) -> None:
    """The plugin's own ``internal`` is raised with its words, and the instance goes on."""
    quiet = "layouts"
    with stage.processor(f"{hook}:error") as processor:
        for _ in range(2):
            with pytest.raises(PluginFailure) as caught:
                CALLS[hook](processor)
            assert caught.value.case in {"internal", "invalid-arg"}
            assert "\x1b" not in caught.value.message
        CALLS[quiet](processor)


def test_a_message_without_end_is_cut(stage: Any) -> None:
    """A guest's error text does not flood logs."""
    with stage.processor("apply:error", long_messages=True) as processor:
        with pytest.raises(PluginFailure) as caught:
            processor.apply_config("{}")
        assert len(caught.value.message) < 600


def test_stack_exhaustion_is_a_trap(stage: Any) -> None:
    """Recursion without end stops at the guest's own limit."""
    with stage.processor() as processor:
        with pytest.raises(GuestTrap) as caught:
            processor.process(np.full((8, 2), 670, np.float32))
        assert caught.value.details["trap"] in {"stack_overflow", "memory_out_of_bounds"}


def test_events_tell_of_traps_and_deadlines(stage: Any) -> None:
    """One event each, with plugin, component and operation."""
    dsp = stage.dsp()
    with stage.bus.recording() as events, dsp.create(SPEC) as one, dsp.create(SPEC) as two:
        with pytest.raises(GuestTrap):
            one.process(np.full((8, 2), 666, np.float32))
        with pytest.raises(CallDeadline):
            two.process(np.full((8, 2), 667, np.float32))
    traps = [e for e in events if isinstance(e, GuestTrapped)]
    late = [e for e in events if isinstance(e, CallDeadlineExceeded)]
    assert [(e.plugin, e.component, e.operation, e.trap) for e in traps] == [
        ("org.example.actor", "main", "dsp.process", "unreachable_code_reached")
    ]
    assert [(e.plugin, e.component, e.operation) for e in late] == [("org.example.actor", "main", "dsp.process")]
    assert late[0].seconds >= 0.1


def test_a_deadline_is_kept(stage: Any) -> None:
    """A loop is stopped near its deadline, not much later."""
    with stage.processor() as processor:
        started = time.perf_counter()
        with pytest.raises(CallDeadline):
            processor.process(np.full((8, 2), 667, np.float32))
        assert time.perf_counter() - started < 5


def test_memory_is_limited(stage: Any) -> None:
    """A guest that takes all it can get meets the cell's limit."""
    with stage.processor() as processor, pytest.raises(StellatuneError) as caught:
        processor.process(np.full((8, 2), 668, np.float32))
    assert caught.value.code == "guest-trap"


@pytest.mark.parametrize("how", ["1", "2"])
def test_sidecars_are_denied(stage: Any, how: str, block: Block) -> None:
    """A component that imports the interface runs; what it asks for is refused in the contract's own terms."""
    with stage.processor() as processor:
        with pytest.raises(PluginFailure, match="sidecars are not available") as caught:
            processor.apply_config(f'{{"sidecar": {how}}}')
        assert caught.value.case == "denied"
        np.testing.assert_array_equal(processor.process(block), block)


def test_a_forged_handle_is_a_trap(stage: Any) -> None:
    """A number that the host never gave stands for nothing."""
    with stage.processor() as processor, pytest.raises((GuestTrap, GuestContract)):
        processor.apply_config('{"sidecar": 3}')
