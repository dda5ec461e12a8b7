"""The flac plugin as the host runs it: the committed component, in a cell, behind the capability interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flac_player import Player

from stellatune_plugins.engine.cache import CodeStore
from stellatune_plugins.engine.compiler import CompileLimits
from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.executor import Activated, Environment, LocalExecutor, WasmDecoder, activation_of, ask
from stellatune_plugins.model import PluginId
from stellatune_plugins.observe import EventBus
from stellatune_plugins.package import InstallStore

BUNDLED = Path(__file__).resolve().parents[3] / "src" / "stellatune_plugins" / "bundled"
PLUGIN = PluginId("dev.stellatune.flac")


@pytest.fixture(scope="session")
def engine() -> Iterator[WasmEngine]:
    """One engine for all."""
    with WasmEngine() as engine:
        yield engine


@pytest.fixture(scope="session")
def make_player(engine: WasmEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Player]]:
    """Makes players for a package folder, each with an executor of its own."""
    executors: list[LocalExecutor] = []

    def make(package: Path, limits: CompileLimits | None = None) -> Player:
        store = InstallStore(tmp_path_factory.mktemp("plugins"), EventBus())
        installed = store.install(package)
        executor = LocalExecutor(CodeStore(engine, None, limits=limits), Environment(engine=engine))
        executors.append(executor)
        ask(executor, activation_of(installed), Activated)
        key, _ = next(installed.manifest.ability_keys())
        return Player(WasmDecoder(executor, key))

    yield make
    for executor in executors:
        executor.close()


@pytest.fixture(scope="session")
def flac(make_player: Callable[..., Player]) -> Player:
    """The bundled decoder."""
    return make_player(BUNDLED / PLUGIN)
