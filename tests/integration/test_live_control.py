"""Stages are configured, bypassed and engaged while the music plays, on every road and without a click."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from stellatune_plugins.errors import ConfigRejected, UsageError
from stellatune_plugins.model import AudioSpec, Block, RuntimeRoute, SampleRate, StagePath
from stellatune_plugins.session.chain import SessionChain
from stellatune_plugins.session.chain_builder import StageRequest
from stellatune_plugins.session.plugin_runtime import PluginRenderRuntime

SPEC = AudioSpec(SampleRate(48000), 2)
FADE = 240
GAIN = StageRequest("dev.stellatune.gain", None, '{"gain_db": 0}')
ACTOR = StageRequest("test.actor", None, '{"gain": 2}')


@pytest.fixture
def build(workshop: Any, actor: Callable[[str], bytes]) -> Iterator[Callable[..., SessionChain]]:
    """Makes chains of the bundled gain and of an actor that plays a part."""
    runtimes: list[PluginRenderRuntime] = []
    chains: list[SessionChain] = []

    def make(*requests: StageRequest, part: str = "") -> SessionChain:
        workshop.install(workshop.package(actor(part)))
        runtime = PluginRenderRuntime(workshop.home, RuntimeRoute.WASM, requests)
        runtimes.append(runtime)
        chain = runtime.chain(SPEC)
        assert isinstance(chain, SessionChain)
        chains.append(chain)
        return chain

    yield make
    for chain in chains:
        chain.close()
    for runtime in runtimes:
        runtime.close()


def level(chain: SessionChain, frames: int = 4800) -> Block:
    """What becomes of a constant, channel 0."""
    return chain.process(np.full((frames, 2), 0.25, np.float32))[:, 0].copy()


def test_a_hot_stage_takes_a_new_configuration_smoothly(build: Callable[..., SessionChain]) -> None:
    """Six decibels less, reached in small steps."""
    chain = build(GAIN)
    assert chain.reports()[0].path is StagePath.HOT
    before = level(chain)
    chain.stages[0].configure('{"gain_db": -6}')
    after = level(chain)
    assert before[-1] == pytest.approx(0.25)
    assert after[-1] == pytest.approx(0.25 * 10 ** (-6 / 20), rel=1e-5)
    assert np.abs(np.diff(np.concatenate((before, after)))).max() < 0.001


@pytest.mark.parametrize("values", ['{"gain_db": 1000}', '{"gain_db": "loud"}', "[]", "{"])
def test_a_refused_configuration_changes_nothing(build: Callable[..., SessionChain], values: str) -> None:
    """Whether schema or plugin refuse it."""
    chain = build(GAIN)
    before = level(chain)
    with pytest.raises(ConfigRejected) as caught:
        chain.stages[0].configure(values)
    assert caught.value.plugin == "dev.stellatune.gain"
    assert np.array_equal(level(chain), before)


def test_a_component_takes_a_new_configuration(build: Callable[..., SessionChain]) -> None:
    """On the component path the plugin's plan decides: here it applies it as it runs."""
    chain = build(ACTOR)
    assert chain.reports()[0].path is StagePath.COMPONENT
    assert level(chain)[-1] == 0.5
    chain.stages[0].configure('{"gain": 3}')
    assert level(chain)[-1] == 0.75


def test_a_component_is_remade_where_its_plan_says_so(build: Callable[..., SessionChain]) -> None:
    """A fresh processor with the new configuration is faded in."""
    chain = build(ACTOR, part="plan:recreate")
    before = level(chain)
    chain.stages[0].configure('{"gain": 3}')
    after = level(chain)
    assert before[-1] == 0.5
    assert after[-1] == 0.75
    assert np.abs(np.diff(np.concatenate((before, after)))).max() <= 0.5 / FADE + 1e-6
    assert not chain.reports()[0].bypasses


def test_a_component_that_is_out_is_remade_unheard(build: Callable[..., SessionChain]) -> None:
    """It is heard again, with its new configuration, when the user asks for it."""
    chain = build(ACTOR, part="plan:recreate")
    level(chain)
    chain.stages[0].bypass()
    level(chain)
    chain.stages[0].configure('{"gain": 3}')
    assert (level(chain) == 0.25).all()
    chain.stages[0].engage()
    assert level(chain)[-1] == 0.75


def test_what_a_component_refuses_is_not_kept(build: Callable[..., SessionChain]) -> None:
    """After a crash it comes back with what it took before."""
    chain = build(ACTOR)
    with pytest.raises(ConfigRejected):
        chain.stages[0].configure('{"gain": "x"}')
    assert level(chain)[-1] == 0.5
    bad = np.full((4096, 2), 0.25, np.float32)
    bad[0] = 666.0  # makes it trap
    chain.process(bad)
    level(chain), level(chain)
    assert level(chain)[-1] == 0.5
    assert [bypass.code for bypass in chain.reports()[0].bypasses] == ["guest-trap"]


def test_a_plan_that_rejects_is_an_error_with_its_reason(build: Callable[..., SessionChain]) -> None:
    """At the start already, since the first configuration is planned too."""
    with pytest.raises(ConfigRejected, match="today"):
        build(ACTOR, part="plan:reject")


@pytest.mark.parametrize("request_", [GAIN, ACTOR], ids=["hot", "component"])
def test_bypass_and_engage_fade(build: Callable[..., SessionChain], request_: StageRequest) -> None:
    """Both roads go out and come back within a few milliseconds, without a step."""
    chain = build(audible(request_))
    wet = level(chain)[-1]
    chain.stages[0].bypass()
    out = level(chain)
    chain.stages[0].engage()
    back = level(chain)
    assert out[-1] == 0.25
    assert back[-1] == wet
    assert np.abs(np.diff(np.concatenate((out, back)))).max() <= abs(wet - 0.25) / FADE + 1e-6


def audible(request: StageRequest) -> StageRequest:
    """The gain with an effect that can be heard."""
    return StageRequest(request.plugin, None, '{"gain_db": -12}') if request is GAIN else request


def test_a_stage_that_never_started_refuses_control(build: Callable[..., SessionChain]) -> None:
    """The error says why."""
    chain = build(ACTOR, part="create:trap")
    with pytest.raises(UsageError, match="could not be started"):
        chain.stages[0].configure("{}")
    chain.stages[0].bypass()
    assert level(chain)[-1] == 0.25
