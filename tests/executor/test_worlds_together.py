"""A plugin of all five worlds: one life, cells of its own for each, and one end, in order and with nothing left."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from host_fakes import Answers, MemoryStream, Streams, WaitingStream, rawf

from stellatune_plugins.errors import GuestTrap, HookFailed, InstanceDead, StellatuneError, StoreMisuse
from stellatune_plugins.executor import (
    Activated,
    Deactivate,
    Deactivated,
    Deadlines,
    Status,
    StatusReport,
    WasmDecoder,
    WasmDsp,
    WasmLyrics,
    WasmOutputSink,
    WasmSource,
    activation_of,
    ask,
)
from stellatune_plugins.executor.cell import Cell
from stellatune_plugins.model import AbilityKey, AbilityKind, AudioSpec, DisableReason, Frames, PluginId, SampleRate
from stellatune_plugins.observe import EventBus
from stellatune_plugins.package import InstalledPlugin, InstallStore

SPEC = AudioSpec(SampleRate(48_000), 2)
PLUGIN = "org.example.all"
MUSIC = np.random.default_rng(2).uniform(-1, 1, (2_000, 2)).astype(np.float32)


@pytest.fixture
def package(tmp_path: Path, actor: Callable[..., bytes]) -> Callable[..., InstalledPlugin]:
    """A package with a component a world; ``parts`` gives each kind its part."""

    def make(parts: dict[AbilityKind, str] | None = None) -> InstalledPlugin:
        root = tmp_path / "source"
        (root / "wasm").mkdir(parents=True)
        components = []
        for kind in AbilityKind:
            code = actor((parts or {}).get(kind, ""), kind=kind)
            (root / "wasm" / f"{kind}.wasm").write_bytes(code)
            ability: dict[str, Any] = {"kind": kind.manifest_name, "type_id": "actor"}
            if kind is AbilityKind.DECODER:
                ability["decoder"] = {"ext_scores": [{"ext": "rawf", "score": 1}]}
            components.append(
                {
                    "id": str(kind),
                    "path": f"wasm/{kind}.wasm",
                    "world": f"stellatune:plugin/{kind.world_name}@0.1.0",
                    "abilities": [ability],
                }
            )
        manifest = {"schema_version": 1, "id": PLUGIN, "name": "All", "version": "1.0.0", "api_version": 1}
        (root / "plugin.json").write_text(json.dumps(manifest | {"components": components}), "utf-8")
        return InstallStore(tmp_path / "all-plugins", EventBus()).install(root)

    return make


class Everything:
    """One instance of each world."""

    def __init__(self, stage: Any, package: InstalledPlugin) -> None:
        executor = stage.executor
        self.executor = executor
        ask(executor, activation_of(package), Activated)
        keys: dict[AbilityKind, AbilityKey] = {key.kind: key for key, _ in package.manifest.ability_keys()}
        self.catalog = WasmSource(executor, keys[AbilityKind.SOURCE]).create()
        self.stream = self.catalog.open_uri("actor:p").stream()
        self.session = WasmDecoder(executor, keys[AbilityKind.DECODER]).open(self.stream, "rawf")
        self.provider = WasmLyrics(executor, keys[AbilityKind.LYRICS]).create()
        self.processor = WasmDsp(executor, keys[AbilityKind.DSP]).create(SPEC)
        self.sink = WasmOutputSink(executor, keys[AbilityKind.OUTPUT_SINK]).create()
        self.instances: list[Any] = [self.catalog, self.session, self.provider, self.processor, self.sink]

    def play(self) -> int:
        """Music from the source through decoder and processor into the sink; gives the frames that went in."""
        self.sink.open("{}", SPEC)
        frames = 0
        eof = False
        while not eof:
            chunk = self.session.read_pcm(Frames(60))
            block, eof = self.processor.process(chunk.block), chunk.eof
            while len(block):
                accepted = self.sink.write(block)
                frames, block = frames + accepted, block[accepted:]
                self.sink.flush()
        return frames

    def close(self) -> None:
        for instance in self.instances:
            instance.close()


@pytest.fixture
def stage(make_stage: Callable[..., Any]) -> Any:
    """With a track behind the stream service, and an answer behind the HTTP one."""
    streams = Streams(lambda _: MemoryStream(rawf(MUSIC)))
    return make_stage(streams=streams, http=Answers({"http://lyrics.example/la": "[]"}), deadlines=Deadlines())


def test_all_worlds_play_together(stage: Any, package: Any) -> None:
    """Five cells, one plugin, every frame."""
    everything = Everything(stage, package())
    assert everything.play() == len(MUSIC)
    assert len(everything.provider.search("la")) == 1
    report = ask(stage.executor, Status(), StatusReport)
    assert [(p.components, p.standby, p.instances) for p in report.plugins] == [(5, 0, 5)]
    everything.close()


def test_the_plugin_ends_in_order(stage: Any, package: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest instance first; every resource is swept, every number is gone, and late calls are told."""
    everything = Everything(stage, package())
    ended: list[str] = []
    original = Cell.close

    def close(self: Cell, reason: DisableReason) -> Any:
        ended.append(str(self.component.ref.id))
        return original(self, reason)

    monkeypatch.setattr(Cell, "close", close)
    reply = ask(stage.executor, Deactivate(PluginId(PLUGIN), DisableReason.UNLOAD), Deactivated)
    assert not reply.forced
    assert ended == ["output-sink", "dsp", "lyrics", "decoder", "source"]
    for instance in everything.instances:
        with pytest.raises(InstanceDead):
            instance.plan_config("{}")
    everything.close()
    assert len(stage.executor.streams) == 0


@pytest.mark.parametrize("broken", AbilityKind)
def test_one_crash_takes_nothing_else_along(stage: Any, package: Any, broken: AbilityKind) -> None:
    """Each instance has a cell of its own; the others of the plugin go on."""
    everything = Everything(stage, package({broken: "plan:trap"}))
    order = [AbilityKind.SOURCE, AbilityKind.DECODER, AbilityKind.LYRICS, AbilityKind.DSP, AbilityKind.OUTPUT_SINK]
    for kind, instance in zip(order, everything.instances, strict=True):
        if kind is broken:
            with pytest.raises(GuestTrap):
                instance.plan_config("{}")
    for kind, instance in zip(order, everything.instances, strict=True):
        if kind is not broken:
            instance.plan_config("{}")
    everything.close()


@pytest.mark.parametrize("broken", AbilityKind)
def test_one_component_that_does_not_enable_stops_the_activation(stage: Any, package: Any, broken: AbilityKind) -> None:
    """All or none, whichever world it is."""
    with pytest.raises(HookFailed) as caught:
        ask(stage.executor, activation_of(package({broken: "on-enable:error"})), Activated)
    assert caught.value.component == str(broken)
    assert not ask(stage.executor, Status(), StatusReport).plugins


def test_a_session_serves_one_thread_at_a_time(stage: Any, package: Any) -> None:
    """A second one is told at once, and the first is not disturbed."""
    everything = Everything(stage, package())
    waiting = WaitingStream(30)
    refused: list[StellatuneError] = []
    # The decoder reads from a stream that waits; meanwhile another thread asks the same session.
    decoder = WasmDecoder(stage.executor, everything.session.ability)

    class Head(MemoryStream):
        def read(self, max_bytes: int) -> bytes:
            return super().read(max_bytes) if self.position < 12 else waiting.read(max_bytes)

        def close(self) -> None:
            waiting.close()

    session = decoder.open(Head(rawf(MUSIC)), None)

    def read() -> None:
        try:
            session.read_pcm(Frames(10))
        except StellatuneError as error:
            refused.append(error)

    session.info()
    thread = threading.Thread(target=read)
    thread.start()
    assert waiting.entered.wait(10)
    with pytest.raises(StoreMisuse):
        session.seek_ms(0)
    session.close()
    thread.join(10)
    assert not thread.is_alive()
    assert [error.code for error in refused] == ["plugin-error"]
    everything.close()


def test_many_sessions_decode_at_once(stage: Any, package: Any) -> None:
    """Each thread with its own, all of one plugin: nobody gets another's samples."""
    everything = Everything(stage, package())
    decoder = WasmDecoder(stage.executor, everything.session.ability)
    raised: list[BaseException] = []

    def work(index: int) -> None:
        try:
            music = np.full((4_000, 2), float(index), np.float32)
            for _ in range(5):
                with decoder.open(MemoryStream(rawf(music)), "rawf") as session:
                    np.testing.assert_array_equal(session.read_pcm(Frames(8_000)).block, music)
        except BaseException as error:  # noqa: BLE001 - the test looks at all of them
            raised.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not raised
    assert len(stage.executor.streams) == 1  # the one of everything's own session
    everything.close()
