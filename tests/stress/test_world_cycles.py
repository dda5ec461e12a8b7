"""Sessions, catalogues and streams by the thousand: what they take is given back, whatever way they end."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from host_fakes import MemoryStream, rawf
from wasmtime.component import Component
from world_packages import world_package

from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.errors import GuestTrap, PluginFailure
from stellatune_plugins.executor import (
    Activated,
    Environment,
    LocalExecutor,
    ReplacementPolicy,
    WasmDecoder,
    WasmSource,
    activation_of,
    ask,
)
from stellatune_plugins.host.services import NoServices, ServedPlugin
from stellatune_plugins.host.stream import OpenRequest
from stellatune_plugins.model import AbilityKey, AbilityKind, Frames
from stellatune_plugins.observe import EventBus
from stellatune_plugins.package import InstallStore

TRACK = rawf(np.zeros((500, 2), np.float32))
WARM_UP = 60
"""Cycles before measuring: allocators and caches fill."""

pytestmark = [pytest.mark.stress, pytest.mark.timeout(3600)]


class Loader:
    """Compiles here."""

    def __init__(self, engine: WasmEngine) -> None:
        self._engine = engine

    def load_component(self, wasm: bytes, *, path: str, plugin: str | None = None) -> Component:
        return Component(self._engine.raw, wasm)


class Tracks:
    """Opens a track anew each time, and keeps nothing of it."""

    def open(self, request: OpenRequest) -> MemoryStream:
        return MemoryStream(TRACK)


class Services(NoServices):
    """With tracks to open."""

    def __init__(self, plugin: ServedPlugin) -> None:
        super().__init__(plugin)
        self.streams = Tracks()


@pytest.fixture(scope="module")
def executor() -> Iterator[LocalExecutor]:
    """With a budget of replacements that never ends."""
    with WasmEngine() as engine:
        environment = Environment(engine=engine, replacements=ReplacementPolicy(limit=1_000_000), services=Services)
        with LocalExecutor(Loader(engine), environment) as executor:
            yield executor


@pytest.fixture
def enable(executor: LocalExecutor, tmp_path: Path) -> Callable[..., AbilityKey]:
    """Enables an actor."""

    def enable(kind: AbilityKind, part: str = "") -> AbilityKey:
        name = f"org.example.{kind}-{part.replace(':', '-') or 'fair'}"
        package = InstallStore(tmp_path / "plugins", EventBus()).install(world_package(tmp_path, kind, name, part=part))
        ask(executor, activation_of(package), Activated)
        key, _ = next(package.manifest.ability_keys())
        return key

    return enable


def _usage() -> tuple[int, int]:
    """Resident bytes and descriptors of this process."""
    gc.collect()
    process = psutil.Process()
    return process.memory_info().rss, process.num_fds()


def _flat(cycle: Callable[[], object], cycles: int) -> None:
    for _ in range(WARM_UP):
        cycle()
    rss, fds = _usage()
    for _ in range(cycles):
        cycle()
    rss_after, fds_after = _usage()
    assert fds_after <= fds
    assert rss_after - rss < 6 * 2**20 + cycles * 512


def test_opening_and_closing_tracks_is_flat(executor: LocalExecutor, enable: Any, stress_size: Any) -> None:
    """Open, read, seek, close."""
    decoder = WasmDecoder(executor, enable(AbilityKind.DECODER))

    def cycle() -> None:
        with decoder.open(MemoryStream(TRACK), "rawf") as session:
            session.metadata()
            session.read_pcm(Frames(100))
            session.seek_ms(1)

    _flat(cycle, stress_size(80, 5_000))
    assert len(executor.streams) == 0


def test_refusing_tracks_is_flat(executor: LocalExecutor, enable: Any, stress_size: Any) -> None:
    """A decoder that keeps what it was lent, and one that crashes with it."""
    for part, error in (("open:hold", PluginFailure), ("open:trap", GuestTrap)):
        decoder = WasmDecoder(executor, enable(AbilityKind.DECODER, part))

        def cycle(decoder: WasmDecoder = decoder, error: type[Exception] = error) -> None:
            with pytest.raises(error):
                decoder.open(MemoryStream(TRACK), None)

        _flat(cycle, stress_size(40, 5_000))
    assert len(executor.streams) == 0


def test_streams_of_one_catalogue_are_flat(executor: LocalExecutor, enable: Any, stress_size: Any) -> None:
    """Handed through and processed, in one cell that lives long."""
    with WasmSource(executor, enable(AbilityKind.SOURCE)).create() as catalog:

        def cycle() -> None:
            through, own = catalog.open_uri("actor:p").stream(), catalog.open_uri("actor:500").stream()
            assert through.read(4) == b"RAWF"
            assert len(own.read(500)) == 500
            through.close()
            own.close()

        _flat(cycle, stress_size(150, 20_000))
    assert len(executor.streams) == 0


def test_recovering_in_the_middle_is_flat(executor: LocalExecutor, enable: Any, stress_size: Any) -> None:
    """A catalogue that dies with streams open, and gets a fresh cell."""
    with WasmSource(executor, enable(AbilityKind.SOURCE, "list:trap")).create() as catalog:

        def cycle() -> None:
            stream = catalog.open_uri("actor:500").stream()
            catalog.apply_config('{"tour": 4}')
            with pytest.raises(GuestTrap):
                catalog.list_items_json("{}")
            assert catalog.recover().replaced
            stream.close()

        _flat(cycle, stress_size(60, 5_000))
