"""Whatever a plugin does while a chain is built, nothing of it is left open."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stellatune_plugins.errors import LayoutUnsupported, StellatuneError
from stellatune_plugins.model import (
    AudioSpec,
    Block,
    ConfigUpdateMode,
    ConfigUpdatePlan,
    Frames,
    Home,
    Layouts,
    RuntimeRoute,
    SampleRate,
)
from stellatune_plugins.native import NativeRuntime
from stellatune_plugins.observe import EventBus
from stellatune_plugins.registry.runtime import PluginRuntime
from stellatune_plugins.session.chain_builder import ChainBuilder, StageRequest

MODULE = "tests_session_native_dsps"


class Processor:
    """Halves. What its plugin says of it may be anything, exceptions included."""

    def __init__(self, plugin: Plugin, number: int, spec: AudioSpec) -> None:
        self.plugin, self.number, self.spec = plugin, number, spec
        self.closed = 0

    def _say(self, what: str, honest: Any) -> Any:
        number, answer = self.plugin.says.get(what, (None, honest))
        if number is not None and number != self.number:
            return honest
        if isinstance(answer, Exception):
            raise answer
        return answer

    def process(self, block: Block) -> Block:
        return block[:, : self.output_channels()] * np.float32(0.5)

    def supported_layouts(self) -> Any:
        return self._say("layouts", Layouts.ANY)

    def output_channels(self) -> Any:
        return self._say("width", self.spec.channels)

    def describe_hot_path(self, _: AudioSpec) -> None:
        return None

    def latency(self) -> Any:
        return self._say("latency", 0)

    def tail(self) -> Frames | None:
        return Frames(0)

    def plan_config(self, config_json: str) -> ConfigUpdatePlan:
        return ConfigUpdatePlan(ConfigUpdateMode.HOT_APPLY)

    def apply_config(self, config_json: str) -> None: ...

    def export_state(self) -> str | None:
        return None

    def import_state(self, state_json: str) -> None: ...

    def close(self) -> None:
        self.closed += 1
        self._say("close", None)


class Plugin:
    """Makes processors, and keeps them all. ``says``: what the n-th processor (``None``: each) answers."""

    def __init__(self) -> None:
        self.made: list[Processor] = []
        self.says: dict[str, tuple[int | None, Any]] = {}

    def create(self, spec: AudioSpec) -> Processor:
        self.made.append(Processor(self, len(self.made), spec))
        created: Processor = self.made[-1]._say("create", self.made[-1])
        return created

    @property
    def open(self) -> list[int]:
        """Numbers of the processors that were never closed."""
        return [processor.number for processor in self.made if not processor.closed]


Build = Callable[..., Any]


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> dict[str, Plugin]:
    """Two native plugins."""
    found = {"first": Plugin(), "second": Plugin()}
    module = types.ModuleType(MODULE)
    for name, plugin in found.items():
        setattr(module, name, lambda plugin=plugin: plugin)
    monkeypatch.setitem(sys.modules, MODULE, module)
    return found


@pytest.fixture
def build(plugins: dict[str, Plugin], tmp_path: Path) -> Iterator[Build]:
    """Builds a chain of both."""

    def entries(group: str) -> list[EntryPoint]:
        if group != "stellatune.dsp":
            return []
        return [EntryPoint(f"test.{name}", f"{MODULE}:{name}", group) for name in plugins]

    bus = EventBus()
    natives = NativeRuntime(bus=bus, entry_points=entries)
    with PluginRuntime(Home(tmp_path), RuntimeRoute.NATIVE, bus, natives=natives) as runtime:

        def make(channels: int = 2, *, strict: bool = False) -> Any:
            requests = [StageRequest("test.first"), StageRequest("test.second")]
            builder = ChainBuilder(runtime, requests, bus=bus, strict=strict)
            return builder(AudioSpec(SampleRate(48000), channels))

        yield make


BREACHES: dict[str, Any] = {
    "layouts raises": ("layouts", ValueError("its own")),
    "layouts is nothing": ("layouts", None),
    "width raises": ("width", ValueError("its own")),
    "width is no number": ("width", "2"),
    "width is none at all": ("width", 0),
    "latency raises": ("latency", ZeroDivisionError()),
    "latency is negative": ("latency", -1),
    "latency is no number": ("latency", None),
    "create raises": ("create", RuntimeError("its own")),
}


@pytest.mark.parametrize("breach", BREACHES)
@pytest.mark.parametrize("channels", [2, 3])
def test_a_native_plugin_that_cannot_be_made_is_left_out(
    plugins: dict[str, Plugin], build: Build, breach: str, channels: int
) -> None:
    """The music goes round it, through the other one, and its processors are closed."""
    what, answer = BREACHES[breach]
    plugins["second"].says = {what: (None, answer)}
    if channels == 3:
        plugins["second"].says["layouts"] = (None, answer if what == "layouts" else Layouts.MONO)
    chain = build(channels)
    (bypass,) = chain.reports()[1].bypasses
    assert bypass.code in {"native-plugin-failed", "guest-contract"}
    x = np.ones((100, channels), np.float32)
    assert np.array_equal(chain.process(x), x * np.float32(0.5))
    if what != "create":
        assert plugins["second"].open == []
    chain.close()
    assert plugins["first"].open == []


@pytest.mark.parametrize("breach", [breach for breach in BREACHES if breach != "create raises"])
def test_a_strict_chain_leaves_nothing_open(plugins: dict[str, Plugin], build: Build, breach: str) -> None:
    """Of the failing plugin, and of those before it."""
    what, answer = BREACHES[breach]
    plugins["first"].says = {"layouts": (None, Layouts.MONO)}
    plugins["second"].says = {what: (None, answer)}
    with pytest.raises(StellatuneError) as caught:
        build(2, strict=True)
    assert caught.value.plugin == "test.second"
    assert len(plugins["first"].made) > 2
    assert plugins["first"].open == []
    assert plugins["second"].open == []


@pytest.mark.parametrize("number", [3, 4, 5])
@pytest.mark.parametrize("what", ["create", "latency"])
def test_one_of_several_that_fails_closes_all(plugins: dict[str, Plugin], build: Build, what: str, number: int) -> None:
    """One processor a channel: the first two are for negotiating, then there are three."""
    second = plugins["second"]
    second.says = {"layouts": (None, Layouts.MONO), what: (number, RuntimeError("its own"))}
    chain = build(3)
    assert chain.reports()[1].bypasses[0].code == "native-plugin-failed"
    assert [n for n in second.open if not (what == "create" and n == number)] == []
    chain.close()


def test_a_close_that_fails_hides_nothing(plugins: dict[str, Plugin], build: Build) -> None:
    """The error is the one that stopped the chain, and the others are closed."""
    for plugin in plugins.values():
        plugin.says = {"close": (None, OSError("not now"))}
    plugins["second"].says["latency"] = (None, ValueError("the reason"))
    with pytest.raises(StellatuneError, match="the reason"):
        build(2, strict=True)
    assert plugins["first"].open == plugins["second"].open == []


def test_a_chain_ends_with_all_of_its_processors(plugins: dict[str, Plugin], build: Build) -> None:
    """Whatever they raise meanwhile; that is an event."""
    for plugin in plugins.values():
        plugin.says = {"close": (None, OSError("not now")), "layouts": (None, Layouts.MONO)}
    chain = build(3)
    assert len(plugins["first"].open) == len(plugins["second"].open) == 3
    chain.close()
    assert plugins["first"].open == plugins["second"].open == []


def test_a_stage_that_is_left_out_does_not_change_the_channels(plugins: dict[str, Plugin], build: Build) -> None:
    """What follows is made for what really comes, not for what was promised."""
    plugins["first"].says = {"width": (None, 1), "latency": (None, -1)}
    chain = build(2)
    assert chain.output_spec.channels == 2
    assert chain.process(np.ones((100, 2), np.float32)).shape == (100, 2)
    assert [processor.spec.channels for processor in plugins["second"].made] == [2]
    chain.close()


def test_a_stage_that_changes_channels_cannot_be_mapped(plugins: dict[str, Plugin], build: Build) -> None:
    """Its output would not fit where its input came from."""
    plugins["second"].says = {"layouts": (None, Layouts.STEREO), "width": (None, 1)}
    with pytest.raises(LayoutUnsupported, match="gives 1"):
        build(6)
    assert plugins["first"].open == plugins["second"].open == []
