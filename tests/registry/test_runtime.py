"""Everything together: the bundled gain, installed, opened by name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from stellatune_plugins.errors import (
    AbilityNotFound,
    ConfigRejected,
    InstanceDead,
    NativePluginFailed,
    PluginNotInstalled,
    UsageError,
)
from stellatune_plugins.model import AudioSpec, Home, RuntimeKind, RuntimeRoute, SampleRate
from stellatune_plugins.native import NativeRuntime
from stellatune_plugins.observe import EventBus
from stellatune_plugins.observe.events import CodeCompiled, PluginDisabled, PluginEnabled
from stellatune_plugins.package import InstallStore
from stellatune_plugins.registry import PluginRuntime

GAIN = "dev.stellatune.gain"
SPEC = AudioSpec(SampleRate(48_000), 2)
BUNDLED = Path(__file__).resolve().parents[2] / "src" / "stellatune_plugins" / "bundled"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with the bundled gain in it; its code is compiled once."""
    home = Home(tmp_path_factory.mktemp("registry"))
    InstallStore(home.plugins, EventBus()).install(BUNDLED / GAIN)
    return home


@pytest.fixture
def no_natives() -> NativeRuntime:
    """A Python without any native plugin."""
    return NativeRuntime(entry_points=lambda group: [])


@pytest.fixture
def runtime(home: Home, no_natives: NativeRuntime) -> Iterator[PluginRuntime]:
    """The wasm route over that home."""
    with PluginRuntime(home, RuntimeRoute.WASM, natives=no_natives) as runtime:
        yield runtime


def test_a_dsp_is_opened_by_its_plugins_name(runtime: PluginRuntime) -> None:
    """Enabled, created, configured, described."""
    opened = runtime.open_dsp(GAIN, SPEC, config_json='{"gain_db": -6.0205999, "ramp_ms": 1}')
    try:
        assert opened.resolved.runtime is RuntimeKind.WASM
        assert opened.config_json is not None
        config = json.loads(opened.config_json)
        assert (config["gain_db"], config["balance"]) == (-6.0205999, 0)
        for _ in range(20):
            out = opened.processor.process(np.full((480, 2), 0.5, np.float32))
        np.testing.assert_allclose(out[-1], 0.25, atol=1e-4)
        assert opened.hot_path is not None
        assert (opened.hot_path.root / opened.hot_path.spec.wasm_rel_path).is_file()
        wasm = opened.hot_path.package.read(opened.hot_path.spec.wasm_rel_path)
        assert runtime.code.load_module(wasm, path=opened.hot_path.spec.wasm_rel_path, plugin=GAIN) is not None
    finally:
        opened.processor.close()


def test_a_plugin_is_enabled_once_and_when_needed(home: Home, no_natives: NativeRuntime) -> None:
    """Making the runtime runs nothing; the end disables with ``shutdown``."""
    bus = EventBus()
    with bus.recording() as events:
        with PluginRuntime(home, RuntimeRoute.WASM, bus, natives=no_natives) as runtime:
            assert runtime.catalog.everything()
            assert events == []
            one, two = runtime.open_dsp(GAIN, SPEC), runtime.open_dsp(GAIN, SPEC)
            two.processor.close()
        assert len([e for e in events if isinstance(e, PluginEnabled)]) == 1
        assert [(e.reason, e.forced) for e in events if isinstance(e, PluginDisabled)] == [("shutdown", False)]
    with pytest.raises(InstanceDead):
        one.processor.process(np.zeros((4, 2), np.float32))
    one.processor.close()


def test_code_is_cached_in_the_home(home: Home, no_natives: NativeRuntime, runtime: PluginRuntime) -> None:
    """A second runtime compiles nothing."""
    runtime.open_dsp(GAIN, SPEC).processor.close()
    bus = EventBus()
    with bus.recording() as events, PluginRuntime(home, RuntimeRoute.WASM, bus, natives=no_natives) as second:
        second.open_dsp(GAIN, SPEC).processor.close()
    assert not [e for e in events if isinstance(e, CodeCompiled)]


def test_a_wrong_configuration_is_refused_before_the_plugin_sees_it(runtime: PluginRuntime) -> None:
    """By the plugin's own schema, and the key is named."""
    with pytest.raises(ConfigRejected) as caught:
        runtime.open_dsp(GAIN, SPEC, config_json='{"gain_db": 999}')
    assert caught.value.details["keys"] == ["gain_db"]
    assert (caught.value.plugin, caught.value.capability) == (GAIN, "dsp/gain")


def test_the_native_route_points_at_the_others(home: Home, no_natives: NativeRuntime) -> None:
    """Installed as WebAssembly alone: not found, and what to do."""
    with PluginRuntime(home, natives=no_natives) as runtime, pytest.raises(AbilityNotFound) as caught:
        runtime.open_dsp(GAIN, SPEC)
    assert "--runtime hybrid or wasm" in caught.value.hint


def test_a_native_twin_that_was_not_built_points_at_the_others(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin's failure names the package that would serve."""
    natives = NativeRuntime()
    assert [r for r in natives.records() if r.plugin_id == GAIN], "the gain has no native entry point"

    def unavailable(*_: object) -> None:
        raise NativePluginFailed("the twin was not built", plugin=GAIN)

    monkeypatch.setattr(natives, "dsp", unavailable)
    with PluginRuntime(home, natives=natives) as runtime, pytest.raises(NativePluginFailed) as caught:
        runtime.open_dsp(GAIN, SPEC)
    assert "--runtime hybrid or wasm" in caught.value.hint


def test_a_new_install_is_seen_after_a_refresh(tmp_path: Path, no_natives: NativeRuntime) -> None:
    """The catalogue is a snapshot."""
    home = Home(tmp_path)
    with PluginRuntime(home, RuntimeRoute.WASM, natives=no_natives) as runtime:
        assert runtime.catalog.everything() == ()
        InstallStore(home.plugins, EventBus()).install(BUNDLED / GAIN)
        assert runtime.catalog.everything() == ()
        assert [e.key.plugin_id for e in runtime.refresh().everything()] == [GAIN]


def test_disabling_by_hand(runtime: PluginRuntime) -> None:
    """What was opened is dead; opening again enables again."""
    opened = runtime.open_dsp(GAIN, SPEC)
    assert not runtime.disable(GAIN).forced
    with pytest.raises(InstanceDead):
        opened.processor.output_channels()
    opened.processor.close()
    runtime.open_dsp(GAIN, SPEC).processor.close()
    runtime.disable(GAIN)
    with pytest.raises(PluginNotInstalled):
        runtime.disable(GAIN)


def test_a_closed_runtime_is_closed(home: Home, no_natives: NativeRuntime) -> None:
    """Closing twice is fine, using it is not."""
    runtime = PluginRuntime(home, RuntimeRoute.WASM, natives=no_natives)
    runtime.close()
    runtime.close()
    for use in (lambda: runtime.catalog, lambda: runtime.engine):
        with pytest.raises(UsageError, match="closed"):
            use()
