"""Bundled sources and lyrics providers on a real executor, with whatever services a test gives them."""

from __future__ import annotations

import contextlib
import io
import json
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from laned import laned
from wasmtime.component import Component

from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.executor import (
    Activated,
    Environment,
    LocalExecutor,
    WasmLyrics,
    WasmLyricsProvider,
    WasmSource,
    WasmSourceCatalog,
    activation_of,
    ask,
)
from stellatune_plugins.host.http import HttpService
from stellatune_plugins.host.network import PluginNetwork
from stellatune_plugins.host.services import NoServices, PluginServices, ServedPlugin
from stellatune_plugins.host.stream import HostStream, OpenRequest, StreamService
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.model import AbilityKey
from stellatune_plugins.observe import EventBus
from stellatune_plugins.package import Authority, InstallStore, parse_grant

ROOT = Path(__file__).resolve().parents[2]
BUNDLED = ROOT / "src" / "stellatune_plugins" / "bundled"

Answer = Callable[[str, dict[str, str]], bytes]
"""From a path and a query to a body; raises a ``PluginFailure`` as the host would."""


class _Loader:
    def __init__(self, engine: WasmEngine) -> None:
        self._engine = engine

    def load_component(self, wasm: bytes, *, path: str, plugin: str | None = None) -> Component:
        return laned(self._engine, wasm)


class BytesStream(HostStream):
    """A body; ``ranges`` says whether it goes back."""

    def __init__(self, data: bytes, *, ranges: bool = True) -> None:
        self._file = io.BytesIO(data)
        self._ranges = ranges
        self.closed = False

    def read(self, max_bytes: int) -> bytes:
        return self._file.read(max_bytes)

    def seek(self, offset: int, whence: int = 0) -> int:
        if not self._ranges:
            raise PluginFailure("unsupported", "the stream only goes forward")
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def size(self) -> int | None:
        return None

    def close(self) -> None:
        self.closed = True


class ScriptedServices(NoServices):
    """HTTP whose answers a test writes down; every URL that was asked for is kept."""

    def __init__(self, plugin: ServedPlugin, web: ScriptedWeb) -> None:
        super().__init__(plugin)
        self.streams: StreamService = web
        self.http: HttpService = web


class ScriptedWeb:
    """Serves both interfaces."""

    def __init__(self, answer: Answer, *, ranges: bool = True) -> None:
        self.answer = answer
        self.ranges = ranges
        self.urls: list[str] = []
        self.opened: list[BytesStream] = []

    def services(self, plugin: ServedPlugin) -> PluginServices:
        """The factory for an executor."""
        return ScriptedServices(plugin, self)

    def _answer(self, url: str) -> bytes:
        self.urls.append(url)
        parts = urllib.parse.urlsplit(url)
        query = urllib.parse.parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        return self.answer(parts.path, dict(query))

    def open(self, request: OpenRequest) -> HostStream:
        stream = BytesStream(self._answer(request.target), ranges=self.ranges)
        self.opened.append(stream)
        return stream

    def fetch_json(self, url: str) -> str:
        return self._answer(url).decode()


class Network(NoServices):
    """Real streams and HTTP, with what a test grants."""

    def __init__(self, plugin: ServedPlugin, folder: Path, grants: tuple[str, ...], timeouts: HostTimeouts) -> None:
        super().__init__(plugin)
        authority = Authority(plugin.plugin, plugin.version, plugin.root, folder, granted=map(parse_grant, grants))
        self._network = PluginNetwork(authority, timeouts)
        self.streams = self._network.streams
        self.http = self._network.http

    def close(self) -> None:
        self._network.close()


@contextlib.contextmanager
def active(
    plugin: str, home: Path, engine: WasmEngine, services: Callable[[ServedPlugin], PluginServices]
) -> Iterator[tuple[LocalExecutor, AbilityKey]]:
    """The bundled plugin, installed below ``home`` and active."""
    package = InstallStore(home / "plugins", EventBus()).install(BUNDLED / plugin)
    executor = LocalExecutor(_Loader(engine), Environment(engine=engine, services=services))
    try:
        ask(executor, activation_of(package), Activated)
        key, _ = next(package.manifest.ability_keys())
        yield executor, key
    finally:
        executor.close()


@contextlib.contextmanager
def open_catalog(
    home: Path, engine: WasmEngine, services: Callable[[ServedPlugin], PluginServices], config: dict[str, Any]
) -> Iterator[WasmSourceCatalog]:
    """A catalogue of the OpenSubsonic plugin."""
    with active("dev.stellatune.opensubsonic", home, engine, services) as (executor, key):
        catalog = WasmSource(executor, key).create()
        try:
            catalog.apply_config(json.dumps(config))
            yield catalog
        finally:
            catalog.close()


@contextlib.contextmanager
def open_provider(
    home: Path, engine: WasmEngine, services: Callable[[ServedPlugin], PluginServices], config: dict[str, Any]
) -> Iterator[WasmLyricsProvider]:
    """A provider of the LRCLIB plugin."""
    with active("dev.stellatune.lrclib", home, engine, services) as (executor, key):
        provider = WasmLyrics(executor, key).create()
        try:
            provider.apply_config(json.dumps(config))
            yield provider
        finally:
            provider.close()
