"""The output-sink world: targets, negotiation, and samples that are counted."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from stellatune_plugins.contract import OutputSink, OutputSinkSession
from stellatune_plugins.errors import GuestContract, GuestTrap, InstanceDead, PluginFailure, ValueInvalid
from stellatune_plugins.executor import WasmOutputSink
from stellatune_plugins.executor.output_sink_client import MAX_WRITE_BYTES
from stellatune_plugins.model import AudioSpec, Block, SampleRate, SinkStatus

SPEC = AudioSpec(SampleRate(44_100), 2)


def _ones(frames: int, channels: int = 2) -> Block:
    return np.ones((frames, channels), np.float32)


def test_targets_are_json(stage: Any) -> None:
    """What is in it is the plugin's affair."""
    with stage.sink() as sink:
        assert json.loads(sink.list_targets_json()) == [{"id": "memory", "name": "Memory"}]


@pytest.mark.parametrize(
    ("part", "call"),
    [
        ("targets:garbage", lambda sink: sink.list_targets_json()),
        ("negotiate:rate", lambda sink: sink.negotiate_spec("{}", SPEC)),
        ("negotiate:channels", lambda sink: sink.negotiate_spec("{}", SPEC)),
        ("write:many", lambda sink: (sink.open("{}", SPEC), sink.write(_ones(8)))),
    ],
)
def test_a_lie_breaks_the_cell(stage: Any, part: str, call: Any) -> None:
    """No JSON, no shape that exists, more frames accepted than there were."""
    with stage.sink(part) as sink:
        with pytest.raises(GuestContract):
            call(sink)
        with pytest.raises(InstanceDead):
            sink.status()


def test_a_shape_is_negotiated(stage: Any) -> None:
    """The target says what it takes instead."""
    with stage.sink() as sink:
        agreed = sink.negotiate_spec("{}", AudioSpec(SampleRate(96_000), 6))
        assert agreed.spec == AudioSpec(SampleRate(48_000), 6)
        assert (agreed.preferred_chunk, agreed.prefer_track_rate) == (64, True)


def test_a_wish_without_measure_is_none(stage: Any) -> None:
    """Nobody makes room for four thousand million frames."""
    with stage.sink("negotiate:chunk") as sink:
        assert sink.negotiate_spec("{}", SPEC).preferred_chunk == 0


def test_what_is_written_is_counted(stage: Any) -> None:
    """A full sink takes a part, then nothing; flushed, it takes more."""
    with stage.sink() as sink:
        sink.open("{}", SPEC)
        assert [sink.write(_ones(40)), sink.write(_ones(40)), sink.write(_ones(40))] == [40, 24, 0]
        assert sink.status() == SinkStatus(128, running=True)
        sink.flush()
        assert sink.status() == SinkStatus(0, running=False)
        assert sink.write(_ones(40)) == 40
        sink.reset()
        assert json.loads(sink.export_state())["sum"] == f"{(40 + 24 + 40) * 2:010}"


def test_a_large_block_is_taken_in_part(stage: Any) -> None:
    """One call carries so much and no more; the rest is written again, as with any sink."""
    frames = MAX_WRITE_BYTES // 8
    with stage.sink("write:none") as sink:
        sink.open("{}", SPEC)
        assert sink.write(_ones(4 * frames)) == 0
    with stage.sink("write:many", plugin="org.example.other") as sink:
        sink.open("{}", SPEC)
        with pytest.raises(GuestContract, match=f"of {frames} frames"):
            sink.write(_ones(4 * frames))


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 2), np.float64), np.zeros(8, np.float32), np.zeros((4, 65), np.float32)]
)
def test_a_block_of_another_form_is_refused(stage: Any, wrong: Any) -> None:
    """Before the guest sees it."""
    with stage.sink() as sink:
        sink.open("{}", SPEC)
        with pytest.raises(ValueInvalid):
            sink.write(wrong)
        assert sink.write(_ones(8)) == 8


def test_the_sinks_own_refusals_arrive(stage: Any) -> None:
    """And leave it alive."""
    with stage.sink("open:refuse") as sink:
        with pytest.raises(PluginFailure) as caught:
            sink.open("{}", SPEC)
        assert caught.value.case == "not-found"
        with pytest.raises(PluginFailure):
            sink.write(_ones(8))
        assert sink.describe_hot_path(SPEC) is None


def test_a_dead_sink_recovers_open(stage: Any) -> None:
    """On the target that it was open on, with its configuration; what was queued is lost."""
    with stage.sink() as sink:
        sink.apply_config("{}")
        sink.open("{}", SPEC)
        sink.write(_ones(8))
        with pytest.raises(GuestTrap):
            sink.write(np.full((8, 2), 666, np.float32))
        recovered = sink.recover()
        assert recovered.replaced
        assert recovered.reopened
        assert recovered.config_restored
        assert sink.status().queued_samples == 0
        assert sink.write(_ones(8)) == 8


def test_one_that_was_not_open_stays_so(stage: Any) -> None:
    """A target that refused is not opened behind the caller's back."""
    with stage.sink("flush:trap") as sink:
        with pytest.raises(GuestTrap):
            sink.flush()
        assert not sink.recover().reopened


def test_it_serves_the_interfaces(stage: Any) -> None:
    """Nothing above can tell it from a native one."""
    sink = stage.sink()
    served: OutputSink = WasmOutputSink(stage.executor, sink.ability)
    session: OutputSinkSession = served.create()
    session.close()
    sink.close()
