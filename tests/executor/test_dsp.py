"""The dsp world, method by method, on a component that plays fair."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from stellatune_plugins.contract import Dsp, DspProcessor
from stellatune_plugins.errors import ConfigRejected, InstanceDead, PluginFailure, ValueInvalid
from stellatune_plugins.model import AudioSpec, Block, ConfigUpdateMode, HotPathRole, Layouts, SampleFormat, SampleRate

SPEC = AudioSpec(SampleRate(48_000), 2)


def test_a_block_comes_back_processed(stage: Any, block: Block) -> None:
    """At gain 1 it is the same block, in memory of the caller's own."""
    with stage.processor() as processor:
        out = processor.process(block)
        np.testing.assert_array_equal(out, block)
        assert out.dtype == np.float32
        assert out.flags.writeable
        assert not np.shares_memory(out, block)


@pytest.mark.parametrize("frames", [1, 2, 63, 4096])
def test_any_length_is_taken(stage: Any, frames: int) -> None:
    """Also odd ones, and one frame."""
    with stage.processor() as processor:
        block = np.full((frames, 2), 0.25, np.float32)
        np.testing.assert_array_equal(processor.process(block), block)


def test_an_empty_block_is_empty(stage: Any) -> None:
    """And keeps its channels."""
    with stage.processor() as processor:
        assert processor.process(np.zeros((0, 2), np.float32)).shape == (0, 2)


def test_a_strided_block_is_taken(stage: Any, block: Block) -> None:
    """Views are copied on the way."""
    with stage.processor() as processor:
        np.testing.assert_array_equal(processor.process(block[::2]), block[::2])


@pytest.mark.parametrize("wrong", [np.zeros((4, 3), np.float32), np.zeros((4, 2), np.float64), np.zeros(8, np.float32)])
def test_a_block_of_another_shape_is_refused(stage: Any, wrong: Any, block: Block) -> None:
    """Before the guest sees it; the instance goes on."""
    with stage.processor() as processor:
        with pytest.raises(ValueInvalid):
            processor.process(wrong)
        np.testing.assert_array_equal(processor.process(block), block)


def test_configuration_changes_the_sound(stage: Any, block: Block) -> None:
    """Plan, then apply."""
    with stage.processor() as processor:
        assert processor.plan_config('{"gain": 3}').mode is ConfigUpdateMode.HOT_APPLY
        processor.apply_config('{"gain": 3}')
        np.testing.assert_array_equal(processor.process(block), block * 3)


def test_an_invalid_configuration_is_rejected(stage: Any, block: Block) -> None:
    """The plugin's ``invalid-arg`` is a ConfigRejected with its words, and the old one stays in force."""
    with stage.processor() as processor:
        with pytest.raises(ConfigRejected, match="gain is one digit") as caught:
            processor.apply_config('{"gain": "loud"}')
        assert isinstance(caught.value.__cause__, PluginFailure)
        assert caught.value.plugin == "org.example.actor"
        np.testing.assert_array_equal(processor.process(block), block)


def test_a_plans_reason_is_cleaned(stage: Any) -> None:
    """It is the guest's text."""
    with stage.processor("plan:reject") as processor:
        plan = processor.plan_config("{}")
        assert (plan.mode, plan.reason) == (ConfigUpdateMode.REJECT, "not  [2Jtoday")


def test_recreate_is_passed_on(stage: Any) -> None:
    """Whoever owns the processor acts on it."""
    with stage.processor("plan:recreate") as processor:
        assert processor.plan_config("{}").mode is ConfigUpdateMode.RECREATE


def test_state_goes_out_and_in(stage: Any, block: Block) -> None:
    """A successor takes over what the predecessor exported."""
    dsp = stage.dsp()
    with dsp.create(SPEC) as old, dsp.create(SPEC) as new:
        for _ in range(3):
            old.process(block)
        state = old.export_state()
        assert json.loads(state) == {"blocks": 103}
        new.import_state(state)
        new.process(block)
        assert json.loads(new.export_state()) == {"blocks": 104}


def test_no_state_is_none(stage: Any) -> None:
    """Not an empty text."""
    with stage.processor("export:none") as processor:
        assert processor.export_state() is None


def test_a_core_module_is_described(stage: Any) -> None:
    """Every field arrives."""
    with stage.processor("describe:some") as processor:
        spec = processor.describe_hot_path(SPEC)
        assert spec is not None
        assert (spec.role, spec.abi_version) == (HotPathRole.DSP_TRANSFORM, 1)
        assert spec.wasm_rel_path == "wasm/actor.hot.wasm"
        assert (spec.memory_export, spec.init_export, spec.process_export) == ("memory", "init", "process")
        assert (spec.reset_export, spec.drop_export) == ("reset", None)
        assert (spec.buffer.in_offset, spec.buffer.out_offset, spec.buffer.max_frames) == (16, 8192, 512)
        assert (spec.buffer.channels, spec.buffer.sample_format) == (2, SampleFormat.F32LE)
        assert spec.buffer.interleaved


def test_a_plugin_without_a_core_module_has_none(stage: Any) -> None:
    """The option is empty."""
    with stage.processor() as processor:
        assert processor.describe_hot_path(SPEC) is None


def test_layouts_and_channels(stage: Any) -> None:
    """As the guest says."""
    with stage.processor() as processor:
        assert processor.supported_layouts() == Layouts.MONO | Layouts.STEREO
        assert processor.output_channels() == 2
        assert (processor.latency(), processor.tail()) == (0, 0)


def test_a_closed_processor_is_dead(stage: Any, block: Block) -> None:
    """Closing twice is fine, using it is not."""
    processor = stage.processor()
    processor.close()
    processor.close()
    with pytest.raises(InstanceDead):
        processor.process(block)


def test_the_capability_interface_is_served(stage: Any) -> None:
    """Session code sees a Dsp and a DspProcessor, and nothing of messages."""
    dsp: Dsp = stage.dsp()
    processor: DspProcessor = dsp.create(SPEC)
    processor.close()


def test_a_refused_spec_is_the_plugins_answer(stage: Any) -> None:
    """With its case, and with its text cleaned."""
    with pytest.raises(PluginFailure, match=r"as the  .31mpart  says") as caught:
        stage.processor("create:error")
    assert caught.value.case == "internal"
    assert caught.value.operation == "dsp.create"
    assert caught.value.component == "main"
