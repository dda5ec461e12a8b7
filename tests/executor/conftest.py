"""An executor with real components: the actor of ``tests/guests`` in whatever part a test gives it."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from laned import laned
from wasmtime.component import Component

from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.engine.store import StoreLimits
from stellatune_plugins.executor import (
    Activated,
    Deadlines,
    Environment,
    LocalExecutor,
    WasmDecoder,
    WasmDsp,
    WasmDspProcessor,
    WasmLyrics,
    WasmLyricsProvider,
    WasmOutputSink,
    WasmOutputSinkSession,
    WasmSource,
    WasmSourceCatalog,
    activation_of,
    ask,
)
from stellatune_plugins.host.services import NoServices, ServedPlugin
from stellatune_plugins.model import AbilityKey, AbilityKind, AudioSpec, Block, SampleRate
from stellatune_plugins.observe import EventBus
from stellatune_plugins.package import InstalledPlugin, InstallStore

GUESTS = Path(__file__).resolve().parent.parent / "guests"
PLUGIN = "org.example.actor"
SPEC = AudioSpec(SampleRate(48_000), 2)
MIB = 1024 * 1024


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tests_guests_{name}", GUESTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Loader:
    """Compiles here, without a cache: each part is another component, and all are small."""

    def __init__(self, engine: WasmEngine) -> None:
        self._engine = engine
        self._known: dict[bytes, Component] = {}

    def load_component(self, wasm: bytes, *, path: str, plugin: str | None = None) -> Component:
        if wasm not in self._known:
            self._known[wasm] = laned(self._engine, wasm)
        return self._known[wasm]


ACTORS = {
    AbilityKind.DECODER: "decoder_actor.c",
    AbilityKind.SOURCE: "source_actor.c",
    AbilityKind.LYRICS: "lyrics_actor.c",
    AbilityKind.DSP: "actor.c",
    AbilityKind.OUTPUT_SINK: "sink_actor.c",
}
DECODER_RULES = {"decoder": {"ext_scores": [{"ext": "rawf", "score": 80}], "wildcard_score": 1}}


class Services(NoServices):
    """Those services that a test brings, and no others."""

    def __init__(self, plugin: ServedPlugin, **given: Any) -> None:
        super().__init__(plugin)
        for name, service in given.items():
            setattr(self, name, service)


class Stage:
    """One executor, its events, and quick ways to put an actor on it."""

    def __init__(self, environment: Environment, loader: Loader, install: Callable[..., InstalledPlugin]) -> None:
        self.env = environment
        self.bus = environment.bus
        self.executor = LocalExecutor(loader, environment)
        self._install = install

    def enable(self, part: str = "", **how: Any) -> InstalledPlugin:
        """Install and activate the actor in a part."""
        package = self._install(part, **how)
        ask(self.executor, activation_of(package), Activated)
        return package

    def dsp(self, part: str = "", **how: Any) -> WasmDsp:
        """What makes the actor's processors."""
        key, _ = next(self.enable(part, **how).manifest.ability_keys())
        return WasmDsp(self.executor, key)

    def decoder(self, part: str = "", **how: Any) -> WasmDecoder:
        """What opens tracks with the actor."""
        return WasmDecoder(self.executor, self._ability(AbilityKind.DECODER, part, **how))

    def catalog(self, part: str = "", **how: Any) -> WasmSourceCatalog:
        """A catalogue of the actor."""
        return WasmSource(self.executor, self._ability(AbilityKind.SOURCE, part, **how)).create()

    def provider(self, part: str = "", **how: Any) -> WasmLyricsProvider:
        """A lyrics provider of the actor."""
        return WasmLyrics(self.executor, self._ability(AbilityKind.LYRICS, part, **how)).create()

    def sink(self, part: str = "", **how: Any) -> WasmOutputSinkSession:
        """An output of the actor."""
        return WasmOutputSink(self.executor, self._ability(AbilityKind.OUTPUT_SINK, part, **how)).create()

    def _ability(self, kind: AbilityKind, part: str, **how: Any) -> AbilityKey:
        key, _ = next(self.enable(part, kind=kind, **how).manifest.ability_keys())
        return key

    def processor(self, part: str = "", **how: Any) -> WasmDspProcessor:
        """A processor of the actor."""
        return self.dsp(part, **how).create(SPEC)


@pytest.fixture(scope="session")
def actor() -> Callable[..., bytes]:
    """Gives an actor's component in a part."""
    builder = _load("guest_builder")
    plain: dict[AbilityKind, bytes] = {}

    def with_part(part: str = "", *, kind: AbilityKind = AbilityKind.DSP, long_messages: bool = False) -> bytes:
        if kind not in plain:
            plain[kind] = builder.build_component(GUESTS / ACTORS[kind], kind.world_name)
        data: bytes = builder.with_part(plain[kind], part, long_messages=long_messages)
        return data

    return with_part


@pytest.fixture(scope="session")
def talker() -> bytes:
    """The actor that prints."""
    component: bytes = _load("guest_builder").build_talker()
    return component


@pytest.fixture(scope="module")
def engine() -> Iterator[WasmEngine]:
    """One engine a module: its ticker is a thread."""
    with WasmEngine() as engine:
        yield engine


@pytest.fixture(scope="module")
def loader(engine: WasmEngine) -> Loader:
    """Components compiled once a module."""
    return Loader(engine)


@pytest.fixture
def install(tmp_path: Path, actor: Callable[..., bytes]) -> Callable[..., InstalledPlugin]:
    """Installs the actor; ``components`` gives it several, ``parts`` each its own, ``wasm`` other code."""
    store = InstallStore(tmp_path / "plugins", EventBus())

    def install(
        part: str = "",
        *,
        plugin: str = PLUGIN,
        kind: AbilityKind = AbilityKind.DSP,
        world: str | None = None,
        components: tuple[str, ...] = ("main",),
        parts: dict[str, str] | None = None,
        wasm: bytes | None = None,
        long_messages: bool = False,
        **ability: Any,
    ) -> InstalledPlugin:
        folder = tmp_path / "sources" / f"{plugin}-{len(list(tmp_path.glob('sources/*')))}"
        (folder / "wasm").mkdir(parents=True)
        for name in components:
            played = (parts or {}).get(name, part)
            code = wasm or actor(played, kind=kind, long_messages=long_messages)
            (folder / "wasm" / f"{name}.wasm").write_bytes(code)
        rules = DECODER_RULES if kind is AbilityKind.DECODER else {}
        manifest = {
            "schema_version": 1,
            "id": plugin,
            "name": "Actor",
            "version": "1.0.0",
            "api_version": 1,
            "components": [
                {
                    "id": name,
                    "path": f"wasm/{name}.wasm",
                    "world": f"stellatune:plugin/{world or kind.world_name}@0.1.0",
                    "abilities": [{"kind": kind.manifest_name, "type_id": f"actor-{name}", **rules, **ability}],
                }
                for name in components
            ],
        }
        (folder / "plugin.json").write_text(json.dumps(manifest), "utf-8")
        return store.install(folder)

    return install


@pytest.fixture
def make_stage(
    engine: WasmEngine, loader: Loader, install: Callable[..., InstalledPlugin]
) -> Iterator[Callable[..., Stage]]:
    """Makes stages, closed at the end. Deadlines are short; settings replace those of the environment."""
    made: list[Stage] = []

    def make(**settings: Any) -> Stage:
        values: dict[str, Any] = {
            "engine": engine,
            "deadlines": Deadlines.uniform(0.15),
            "limits": StoreLimits(memory_bytes=16 * MIB),
            **settings,
        }
        given = {name: values.pop(name) for name in ("streams", "http", "sidecars") if name in values}
        if given:
            values["services"] = lambda plugin: Services(plugin, **given)
        stage = Stage(Environment(**values), loader, install)
        made.append(stage)
        return stage

    yield make
    for stage in made:
        stage.executor.close()


@pytest.fixture
def stage(make_stage: Callable[..., Stage]) -> Stage:
    """A stage with short deadlines."""
    return make_stage()


@pytest.fixture
def block() -> Block:
    """64 frames of stereo noise."""
    return np.random.default_rng(1).uniform(-1, 1, (64, 2)).astype(np.float32)
