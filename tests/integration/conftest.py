"""Homes with real and hostile plugins in them, and renders of real files through them."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from stellatune_plugins.engine.assemble import assemble
from stellatune_plugins.engine.compiler import CompileLimits
from stellatune_plugins.executor import Deadlines
from stellatune_plugins.hotpath import HotPathSettings
from stellatune_plugins.model import Block, Home, RuntimeRoute
from stellatune_plugins.observe import Event, EventBus
from stellatune_plugins.package import InstallStore
from stellatune_plugins.registry.runtime import RuntimeSettings
from stellatune_plugins.session import RenderJob, RenderOptions, RenderReport
from stellatune_plugins.session.chain_builder import StageRequest
from stellatune_plugins.session.plugin_runtime import PluginRenderRuntime
from stellatune_plugins.session.render import render

GUESTS = Path(__file__).parents[1] / "guests"
BUNDLED = Path(__file__).parents[2] / "src" / "stellatune_plugins" / "bundled"
ACTOR = "test.actor"
RATE = 48000
FRAMES = 20_000


@dataclass(frozen=True)
class Rendered:
    """What a render left."""

    samples: Block
    report: RenderReport
    events: list[Event]
    folder: Path

    def codes(self, stage: int) -> list[str]:
        """Why a stage was bypassed."""
        return [bypass.code for bypass in self.report.stages[stage].bypasses]

    def named(self, name: str) -> list[Any]:
        """Events of a name."""
        return [event for event in self.events if event.name == name]


@dataclass(frozen=True)
class Workshop:
    """A home, and what can be done with it."""

    folder: Path
    home: Home

    def package(self, component: bytes, modules: dict[str, bytes] | None = None, **changes: Any) -> Path:
        """A package folder for a dsp component."""
        root = self.folder / "package"
        (root / "wasm").mkdir(parents=True)
        (root / "wasm" / "actor.wasm").write_bytes(component)
        for name, data in (modules or {}).items():
            (root / "wasm" / name).write_bytes(data)
        manifest: dict[str, Any] = {
            "schema_version": 1,
            "id": ACTOR,
            "name": "Actor",
            "version": "1.0.0",
            "api_version": 1,
            "components": [
                {
                    "id": "main",
                    "path": "wasm/actor.wasm",
                    "world": "stellatune:plugin/dsp-plugin@0.1.0",
                    "abilities": [{"kind": "dsp", "type_id": "actor", "default_config_json": '{"gain": 1}'}],
                }
            ],
        }
        (root / "plugin.json").write_text(json.dumps(manifest | changes))
        return root

    def install(self, *sources: Path) -> None:
        """Install packages."""
        store = InstallStore(self.home.plugins, EventBus())
        for source in sources:
            store.install(source)

    def render(
        self,
        stages: Sequence[StageRequest],
        samples: Block,
        *,
        strict: bool = False,
        route: RuntimeRoute = RuntimeRoute.WASM,
        compile_seconds: float = 60,
    ) -> Rendered:
        """Render a float WAV through a chain into another one."""
        source, target = self.folder / "in.wav", self.folder / "out" / "out.wav"
        target.parent.mkdir(exist_ok=True)
        soundfile.write(source, samples, RATE, subtype="FLOAT")
        bus = EventBus()
        deadlines = Deadlines.uniform(0.15)
        hot = HotPathSettings(
            init_deadline=0.1, config_deadline=0.1, process_deadline=0.1, reset_deadline=0.1, drop_deadline=0.1,
            query_deadline=0.1, max_memory_bytes=1 << 25,
        )  # fmt: skip
        with bus.recording() as events:
            runtime = PluginRenderRuntime(
                self.home,
                route,
                stages,
                strict=strict,
                bus=bus,
                settings=RuntimeSettings(deadlines=deadlines, compile_limits=CompileLimits(seconds=compile_seconds)),
                hot_settings=hot,
            )
            try:
                report = render(
                    RenderJob(str(source), str(target)),
                    RenderOptions(bits="32f", loudness=False, true_peak=False, tail=False),
                    decoder=runtime.decoder,
                    chain_factory=runtime.chain,
                    sink=runtime.sink,
                )
            finally:
                runtime.close()
        written, rate = soundfile.read(target, dtype="float32", always_2d=True)
        assert rate == RATE
        return Rendered(written, report, events, target.parent)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """A home with the bundled gain in it."""
    workshop = Workshop(tmp_path, Home(tmp_path / "home"))
    workshop.install(BUNDLED / "dev.stellatune.gain")
    return workshop


@pytest.fixture(scope="session")
def actor() -> Callable[[str], bytes]:
    """The component that plays a part."""
    spec = importlib.util.spec_from_file_location("tests_guests_builder", GUESTS / "guest_builder.py")
    assert spec is not None
    assert spec.loader is not None
    builder = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(builder)
    built = builder.build_component(GUESTS / "actor.c")

    def with_part(part: str) -> bytes:
        data: bytes = builder.with_part(built, part)
        return data

    return with_part


@pytest.fixture(scope="session")
def wat() -> Callable[[str], bytes]:
    """Core modules from text."""
    return assemble


@pytest.fixture
def music() -> Block:
    """Quiet noise."""
    return np.random.default_rng(7).uniform(-0.2, 0.2, (FRAMES, 2)).astype(np.float32)
