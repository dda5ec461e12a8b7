"""The LRCLIB provider against a local server with that API, through the host's real HTTP client."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from catalog_stage import Network, open_provider
from program import Program

from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.executor import WasmLyricsProvider
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.model.lrc import parse_lrc

pytestmark = pytest.mark.timeout(300)  # whole programs, on a machine that may be busy
SHELF = [
    {"id": 1, "trackName": "Été", "artistName": "Anne", "albumName": "A", "duration": 100, "instrumental": False,
     "plainLyrics": "une\ndeux\n", "syncedLyrics": None},
    {"id": 2, "trackName": "Été", "artistName": "Anne", "albumName": "B", "duration": 101, "instrumental": False,
     "plainLyrics": "une\ndeux\n", "syncedLyrics": "[00:01.00] une\n[00:02.50] deux\n"},
    {"id": 3, "trackName": "Hiver", "artistName": "Bert", "albumName": "C", "duration": 9, "instrumental": True,
     "plainLyrics": None, "syncedLyrics": None},
]  # fmt: skip


class _Handler(http.server.BaseHTTPRequestHandler):
    """``/api/search`` and ``/api/get/ID`` as LRCLIB documents them; ``/odd/...`` misbehaves."""

    def do_GET(self) -> None:
        parts = urllib.parse.urlsplit(self.path)
        server: Any = self.server
        server.asked.append(self.path)
        if parts.path == "/api/search":
            words = urllib.parse.parse_qs(parts.query)["q"][0].lower().split()
            found = [one for one in SHELF if all(w in f"{one['trackName']} {one['artistName']}".lower() for w in words)]
            self._send(200, found)
        elif parts.path.startswith("/api/get/"):
            number = int(parts.path.rpartition("/")[2])
            entry = next((one for one in SHELF if one["id"] == number), None)
            missing = {"code": 404, "name": "TrackNotFound", "message": "Failed to find specified track"}
            self._send(404 if entry is None else 200, missing if entry is None else entry)
        elif parts.path.startswith("/odd/hang/"):
            server.release.wait(20)
        elif parts.path.startswith("/odd/error/"):
            self._send(500, {"message": "no"})
        elif parts.path.startswith("/odd/page/"):
            self._send(200, b"<html>hello</html>", kind="text/html")
        elif parts.path.startswith("/odd/long/"):
            self._send(200, b"[" + b" " * (32 << 20) + b"]")

    def _send(self, status: int, value: Any, kind: str = "application/json") -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with contextlib.suppress(OSError):  # whoever has enough hangs up
            self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        """Nothing."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        self.release = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture(scope="module")
def server() -> Iterator[_Server]:
    """The server, in threads of its own."""
    server = _Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.release.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def engine() -> Iterator[WasmEngine]:
    """One engine."""
    with WasmEngine() as engine:
        yield engine


@contextlib.contextmanager
def provider_of(
    home: Path, engine: WasmEngine, base_url: str, *grants: str, timeouts: HostTimeouts | None = None
) -> Iterator[WasmLyricsProvider]:
    """The provider with these grants."""
    with open_provider(
        home,
        engine,
        lambda plugin: Network(plugin, home / "data", grants, timeouts or HostTimeouts()),
        {"base_url": base_url},
    ) as provider:
        yield provider


def test_synchronised_lyrics_are_found_and_fetched(tmp_path: Path, engine: WasmEngine, server: _Server) -> None:
    """The entry with times comes first; both read as what they are."""
    with provider_of(tmp_path, engine, server.url, f"local:{server.url}") as provider:
        hits = provider.search("anne été")
        assert [(hit.id, hit.title, hit.artist) for hit in hits] == [("2", "Été", "Anne"), ("1", "Été", "Anne")]
        timed, plain = (parse_lrc(provider.fetch(hit.id)) for hit in hits)
        assert [(line.at, line.text) for line in timed.lines] == [(1000, "une"), (2500, "deux")]
        assert [line.text for line in plain.lines] == ["une", "deux"]
        assert not plain.synchronised
        assert provider.search("hiver") == ()
        assert provider.search("nothing of this name") == ()


def test_what_is_not_there(tmp_path: Path, engine: WasmEngine, server: _Server) -> None:
    """A missing entry is not found, and so is one without words."""
    with provider_of(tmp_path, engine, server.url, f"local:{server.url}") as provider:
        for candidate in ("77", "3"):
            with pytest.raises(PluginFailure) as failure:
                provider.fetch(candidate)
            assert failure.value.case == "not-found"


@pytest.mark.parametrize("path", ["error", "page", "long"])
def test_servers_that_misbehave(tmp_path: Path, engine: WasmEngine, server: _Server, path: str) -> None:
    """Errors, pages and endless answers are errors, and the provider lives on."""
    with provider_of(tmp_path, engine, f"{server.url}/odd/{path}", f"local:{server.url}") as provider:
        for _ in range(2):
            with pytest.raises(PluginFailure) as failure:
                provider.search("x")
            assert failure.value.case in {"io", "unsupported", "invalid-arg"}
        provider.apply_config(json.dumps({"base_url": server.url}))
        assert len(provider.search("anne")) == 2


def test_a_server_that_hangs_ends_in_time(tmp_path: Path, engine: WasmEngine, server: _Server) -> None:
    """The host's own timeout counts."""
    quick = HostTimeouts(fetch=0.5, connect=0.5, read=0.5)
    with provider_of(tmp_path, engine, f"{server.url}/odd/hang", f"local:{server.url}", timeouts=quick) as provider:
        started = time.monotonic()
        with pytest.raises(PluginFailure) as failure:
            provider.fetch("1")
        assert failure.value.case == "timeout"
        assert time.monotonic() - started < 10


@pytest.mark.parametrize("grants", [(), ("host:{url}",), ("host:https://lrclib.net",)])
def test_without_grants_nothing_is_reached(
    tmp_path: Path, engine: WasmEngine, server: _Server, grants: tuple[str, ...]
) -> None:
    """A local server wants a local grant."""
    before = len(server.asked)
    with provider_of(tmp_path, engine, server.url, *(grant.format(url=server.url) for grant in grants)) as provider:
        for attempt in (lambda: provider.search("anne"), lambda: provider.fetch("1")):
            with pytest.raises(PluginFailure) as failure:
                attempt()
            assert failure.value.case == "denied"
    assert len(server.asked) == before


def test_lyrics_on_the_command_line(tmp_path: Path, server: _Server) -> None:
    """Installed, granted, asked: LRC is printed; without the grant, the error says which one is missing."""
    program = Program(tmp_path)
    lyrics = f'dev.stellatune.lrclib={{"base_url": "{server.url}"}}'
    try:
        program.run("plugin", "install", "lrclib", "--grant", "host:https://lrclib.net")
        said = program.run("lyrics", "--provider", lyrics, "--search", "anne", code=1)
        assert f"--grant local:{server.url}" in said
        program.run("plugin", "permissions", "dev.stellatune.lrclib", "--grant", f"local:{server.url}")
        said = program.run("lyrics", "--provider", lyrics, "--search", "anne")
        assert parse_lrc(said) == parse_lrc(str(SHELF[1]["syncedLyrics"]))
    finally:
        program.close()
