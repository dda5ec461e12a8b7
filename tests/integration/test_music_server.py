"""The OpenSubsonic source against a real server, over real streams, with real grants."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from catalog_stage import Network, open_catalog
from music_server import PASSWORD, TITLES, USER, MusicServer, start_server

from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.executor import WasmSourceCatalog
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.model import Block, Frames
from stellatune_plugins.native.av_decoder import AvDecoder
from stellatune_plugins.native.streams import FileByteStream

COVER = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MusicServer]:
    """A server with one album of five tracks and one of a single track, and a playlist."""
    server = start_server(tmp_path_factory.mktemp("server"))
    yield server
    server.kill()


@pytest.fixture(scope="module")
def engine() -> Iterator[WasmEngine]:
    """One engine."""
    with WasmEngine() as engine:
        yield engine


Open = Callable[..., Any]


@pytest.fixture
def open_source(engine: WasmEngine, tmp_path: Path, server: MusicServer) -> Open:
    """Opens the source with grants for this server, or with others."""

    def open_source(
        grants: tuple[str, ...] | None = None, timeouts: HostTimeouts | None = None, auth: str = "token", **config: Any
    ) -> Any:
        everything = (f"host:{server.url}", f"local:{server.url}")
        settings = {"server_url": server.url, "username": USER, "password": PASSWORD, "auth": auth, **config}
        return open_catalog(
            tmp_path / auth,
            engine,
            lambda plugin: Network(
                plugin, tmp_path / "data", everything if grants is None else grants, timeouts or HostTimeouts()
            ),
            settings,
        )

    return open_source


def ask(catalog: WasmSourceCatalog, **request: Any) -> list[dict[str, Any]]:
    """The items of an answer."""
    items: list[dict[str, Any]] = json.loads(catalog.list_items_json(json.dumps(request)))["items"]
    return items


def find(catalog: WasmSourceCatalog, title: str) -> dict[str, Any]:
    """The track of this title."""
    return next(item for item in ask(catalog, action="search", query=title) if item["title"] == title)


def read_all(stream: Any) -> bytes:
    """All of a stream, which is closed."""
    data = b""
    while more := stream.read(256 * 1024):
        data += more
    stream.close()
    return data


def decode(stream: Any) -> Block:
    """All samples."""
    session = AvDecoder().open(stream, "flac")
    blocks = []
    while not (chunk := session.read_pcm(Frames(16384))).eof:
        blocks.append(chunk.block)
    session.close()
    assert session.damage() == ()
    return np.concatenate([*blocks, chunk.block])


def local(server: MusicServer, number: int) -> Path:
    """A track of the album as the file that it is."""
    return server.music / "Ånn" / "Der Album" / f"{number:02}.flac"


@pytest.mark.parametrize("auth", ["token", "password"])
def test_browsing_a_real_server(open_source: Open, server: MusicServer, auth: str) -> None:
    """Artists, albums, playlists, genres and tracks are what lies in its folder."""
    with open_source(auth=auth) as catalog:
        artists = ask(catalog, action="browse", id="artists")
        ids = {artist["title"]: artist["id"] for artist in artists}
        assert ids.keys() == {"Bo", "Ånn"}
        (album,) = ask(catalog, action="browse", id=ids["Ånn"])
        assert (album["title"], album["artist"], album["year"]) == ("Der Album", "Ånn", 2001)
        tracks = ask(catalog, action="browse", id=album["id"])
        assert [track["title"] for track in tracks] == list(TITLES)
        assert [track["track_number"] for track in tracks] == [1, 2, 3, 4, 5]
        assert [track["duration_ms"] for track in tracks] == [2000] * 4 + [40_000]
        assert [item["title"] for item in ask(catalog, action="browse", id="albums")] == ["Der Album", "Single"]
        assert len(ask(catalog, action="browse", id="newest", limit=1)) == 1
        (playlist,) = ask(catalog, action="browse", id="playlists")
        assert playlist["title"] == "Mine"
        assert [item["title"] for item in ask(catalog, action="browse", id=playlist["id"])] == ["Alone"]
        assert "R&B" in [item["title"] for item in ask(catalog, action="browse", id="genres")]
        assert [item["title"] for item in ask(catalog, action="browse", id="genre:R&B")] == ["Der Album"]


def test_searching_a_real_server(open_source: Open) -> None:
    """Artists, albums and tracks by a part of their names."""
    with open_source() as catalog:
        assert [(item["kind"], item["title"]) for item in ask(catalog, action="search", query="lon")] == [
            ("track", "Alone"), ("track", "Long")]  # fmt: skip
        assert [item["kind"] for item in ask(catalog, action="search", query="Album")] == ["album"]
        assert ask(catalog, action="search", query="nothing like it") == []


def test_a_whole_album_streams_bit_for_bit(open_source: Open, server: MusicServer) -> None:
    """Every track, by description and by URI, is its file; decoded, it has the same samples, and seeks go by ranges."""
    with open_source() as catalog:
        (artist,) = [item for item in ask(catalog, action="browse", id="artists") if item["title"] == "Ånn"]
        (album,) = ask(catalog, action="browse", id=artist["id"])
        for number, track in enumerate(ask(catalog, action="browse", id=album["id"]), 1):
            path = local(server, number)
            opened = catalog.open_stream_json(json.dumps(track["track"]))
            metadata = opened.metadata()
            assert metadata is not None
            assert metadata.tags.title == TITLES[number - 1]
            assert opened.ext_hint() == "flac"
            assert read_all(opened.stream()) == path.read_bytes()
            stream = catalog.open_uri(track["uri"]).stream()
            assert stream.size() == path.stat().st_size
            assert np.array_equal(decode(stream), decode(FileByteStream(path)))
        stream = catalog.open_uri(track["uri"]).stream()
        stream.seek(-1000, 2)
        assert read_all(stream) == path.read_bytes()[-1000:]
    assert any((asked["range"] or "").startswith("bytes=") for asked in server.requests())


def test_covers(open_source: Open) -> None:
    """What an item names as its cover is a picture, and its id leads to the same."""
    with open_source() as catalog:
        track = find(catalog, "Alone")
        answer = json.loads(catalog.list_items_json(json.dumps({"action": "cover", "id": track["id"]})))
        for uri in (track["cover"], answer["uri"]):
            assert read_all(catalog.open_uri(uri).stream())[:8] == COVER
        with pytest.raises(PluginFailure):
            catalog.open_uri("opensubsonic:cover/missing")


def test_a_wrong_password_is_denied(open_source: Open) -> None:
    """With the server's own words, and neither password in them."""
    wrong = "wrong-one"
    for auth in ("token", "password"):
        with open_source(auth=auth, password=wrong) as catalog:
            with pytest.raises(PluginFailure, match="Wrong username or password") as failure:
                ask(catalog, action="browse", id="artists")
            assert failure.value.case == "denied"
            assert "wrong-one" not in str(failure.value)
            with pytest.raises(PluginFailure, match="Wrong username or password"):
                catalog.open_uri("opensubsonic:track/1")


def test_what_is_not_there_is_not_found(open_source: Open) -> None:
    """A track that the server never had."""
    missing = "00000000-0000-0000-0000-000000000000"
    with open_source() as catalog:
        for attempt in (
            lambda: catalog.open_uri(f"opensubsonic:track/{missing}"),
            lambda: catalog.open_stream_json(json.dumps({"id": missing})),
            lambda: ask(catalog, action="browse", id=f"album:{missing}"),
        ):
            with pytest.raises(PluginFailure) as failure:
                attempt()
            assert failure.value.case == "not-found"


def test_no_password_travels_with_tokens(open_source: Open, server: MusicServer) -> None:
    """Nothing that was asked for with tokens has the password in it, plain or in hexadecimal."""
    before = len(server.requests())
    with open_source() as catalog:
        read_all(catalog.open_uri(find(catalog, "Alone")["uri"]).stream())
    asked = server.requests()[before:]
    assert asked
    assert all("t" in one and "s" in one and "p" not in one for one in asked)
    assert not re.search(f"pässword|{PASSWORD.encode().hex()}", json.dumps(asked, ensure_ascii=False))


@pytest.mark.parametrize("grant", ["", "host:{url}", "local:{other}", "local:{tls}"])
def test_without_grants_nothing_is_reached(open_source: Open, server: MusicServer, grant: str) -> None:
    """A host on the local network wants a grant of its own, for its scheme and port; the server hears of nothing."""
    before = len(server.requests())
    text = grant.format(
        url=server.url, other=f"http://127.0.0.1:{server.port ^ 1}", tls=server.url.replace("http", "https")
    )
    with open_source(grants=(text,) if text else ()) as catalog:
        for attempt in (
            lambda: ask(catalog, action="browse", id="artists"),
            lambda: catalog.open_stream_json('{"id": "1"}'),
        ):
            with pytest.raises(PluginFailure) as failure:
                attempt()
            assert failure.value.case == "denied"
            assert PASSWORD not in str(failure.value)
    assert len(server.requests()) == before


@pytest.mark.stress
@pytest.mark.timeout(600)
def test_a_restarted_server_goes_on_where_it_was(
    open_source: Open, server: MusicServer, stress_size: Callable[[int, int], int]
) -> None:
    """Killed while it sends, wherever that is, and started again, it serves the rest of the very same file."""
    expected, rng = local(server, 5).read_bytes(), np.random.default_rng(4)
    with open_source() as catalog:
        track = find(catalog, "Long")
        for _ in range(stress_size(1, 20)):
            until = int(rng.integers(0, 2 << 20))
            with server.slow():
                stream = catalog.open_uri(track["uri"]).stream()
                data = stream.read(1)
                while len(data) < until:
                    data += stream.read(64 * 1024)
                server.kill()
                restart = threading.Timer(float(rng.uniform(0, 1)), server.start)
                restart.start()
            data += read_all(stream)
            restart.join()
            assert data == expected, until
    ranges = [asked["range"] for asked in server.requests() if asked["range"]]
    assert any(re.fullmatch(r"bytes=[1-9]\d*-", text or "") for text in ranges), ranges


def test_a_server_that_stays_away_ends_in_time(open_source: Open, server: MusicServer) -> None:
    """Reading fails with a timeout or an I/O error once the read timeout is over, and says whom it waited for."""
    with open_source(timeouts=HostTimeouts(read=1.5, connect=1.5)) as catalog:
        track = find(catalog, "Long")
        try:
            with server.slow():
                stream = catalog.open_uri(track["uri"]).stream()
                stream.read(64 * 1024)
                server.kill()
                started = time.monotonic()
                with pytest.raises(PluginFailure) as failure:
                    read_all(stream)
                assert failure.value.case in {"timeout", "io"}
                assert time.monotonic() - started < 20
                assert "127.0.0.1" in str(failure.value)
                assert not re.search(r"[?&][ptsu]=", str(failure.value))
                stream.close()
                with pytest.raises(PluginFailure) as failure:
                    ask(catalog, action="browse", id="artists")
                assert failure.value.case in {"timeout", "io"}
        finally:
            server.start()
        assert find(catalog, "Long")["title"] == "Long"
