"""Many threads, each with its own instance; and two on one, which is told."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from stellatune_plugins.errors import GuestTrap, InstanceDead, PluginFailure, StellatuneError, StoreMisuse
from stellatune_plugins.executor import Deactivate, Deactivated, Deadlines, Status, StatusReport, activation_of, ask
from stellatune_plugins.model import AudioSpec, DisableReason, SampleRate

SPEC = AudioSpec(SampleRate(48_000), 2)


def _run(work: Any, count: int) -> list[BaseException]:
    """Run ``work(index)`` in so many threads at once; gives what they raised."""
    raised: list[BaseException] = []
    barrier = threading.Barrier(count)

    def body(index: int) -> None:
        try:
            barrier.wait(20)
            work(index)
        except BaseException as error:  # noqa: BLE001 - the test looks at all of them
            raised.append(error)

    threads = [threading.Thread(target=body, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return raised


def test_instances_do_not_meet(make_stage: Any) -> None:
    """Results, traps and plugin errors arrive where they belong, and nowhere else."""
    stage = make_stage(deadlines=Deadlines())
    dsp = stage.dsp()

    def work(index: int) -> None:
        rng = np.random.default_rng(index)
        with dsp.create(SPEC) as processor:
            processor.apply_config(f'{{"gain": {index + 1}}}')
            for _ in range(60):
                block = np.full((16, 2), float(rng.integers(1, 600)), np.float32)
                choice = rng.integers(0, 10)
                if choice == 0:
                    with pytest.raises(GuestTrap):
                        processor.process(np.full((8, 2), 666, np.float32))
                    processor.lift()
                    processor.recover()
                elif choice == 1:
                    with pytest.raises(PluginFailure):
                        processor.process(np.full((8, 2), 669, np.float32))
                else:
                    np.testing.assert_array_equal(processor.process(block), block * (index + 1))

    assert _run(work, 6) == []
    assert ask(stage.executor, Status(), StatusReport).instances == ()


def test_two_threads_on_one_instance_are_told(make_stage: Any) -> None:
    """One of them is inside; the other gets an error at once instead of a place in a queue."""
    stage = make_stage(deadlines=Deadlines.uniform(0.1))
    with stage.processor() as processor:
        seen: list[StellatuneError] = []
        inside = threading.Thread(target=lambda: _swallow(processor, seen))
        inside.start()
        told = 0
        while inside.is_alive():
            try:
                processor.supported_layouts()
            except StoreMisuse as error:
                assert "in use" in error.message  # noqa: PT017 - the loop goes on
                told += 1
            except InstanceDead:
                break
        inside.join()
        assert told > 0
        assert [e.code for e in seen] == ["call-deadline"]


def _swallow(processor: Any, seen: list[StellatuneError]) -> None:
    try:
        processor.process(np.full((8, 2), 667, np.float32))
    except StellatuneError as error:
        seen.append(error)


def test_a_teardown_waits_for_the_call_inside(make_stage: Any) -> None:
    """Disabling while a guest runs: the call ends at its deadline, then everything is freed."""
    stage = make_stage(deadlines=Deadlines.uniform(0.3))
    dsp = stage.dsp()
    processor = dsp.create(SPEC)
    seen: list[StellatuneError] = []
    inside = threading.Thread(target=lambda: _swallow(processor, seen))
    inside.start()
    while not seen and ask(stage.executor, Status(), StatusReport).plugins:
        ask(stage.executor, Deactivate(dsp.ability.plugin_id, DisableReason.HOST_DISABLE), Deactivated)
    inside.join()
    assert [e.code for e in seen] in (["call-deadline"], ["instance-dead"])
    processor.close()


def test_many_threads_enable_one_plugin_once(stage: Any, install: Any) -> None:
    """The others wait, and find it active."""
    plan = activation_of(install())
    replies: list[Any] = []
    assert _run(lambda _: replies.append(stage.executor.handle(plan)), 8) == []
    assert sorted(r.seconds == 0.0 for r in replies) == [False] + [True] * 7


def test_creating_against_disabling(make_stage: Any) -> None:
    """Whatever the order, nothing of the plugin is left, and every error is one of the contract's."""
    stage = make_stage(deadlines=Deadlines())
    dsp = stage.dsp()

    def work(index: int) -> None:
        for _ in range(10):
            try:
                if index == 0:
                    ask(stage.executor, Deactivate(dsp.ability.plugin_id, DisableReason.RELOAD), Deactivated)
                else:
                    dsp.create(SPEC).close()
            except StellatuneError as error:
                assert error.code in {"ability-not-found", "instance-dead", "plugin-not-installed"}  # noqa: PT017 - races

    assert _run(work, 4) == []
    assert ask(stage.executor, Status(), StatusReport).instances == ()
