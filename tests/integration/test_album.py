"""An album from a real server by the public API: installed, granted, browsed, streamed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from catalog_stage import BUNDLED
from music_server import PASSWORD, TITLES, USER, MusicServer, start_server

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.model import Home, RuntimeRoute
from stellatune_plugins.observe import EventBus
from stellatune_plugins.package import Grants, InstallStore, parse_grant
from stellatune_plugins.registry import PluginRuntime

PLUGIN = "dev.stellatune.opensubsonic"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MusicServer]:
    """The server."""
    server = start_server(tmp_path_factory.mktemp("server"))
    yield server
    server.kill()


@pytest.fixture
def make_home(tmp_path: Path) -> Callable[..., Home]:
    """A home with the plugin in it, and what is granted to it."""

    def make_home(*grants: str) -> Home:
        home, bus = Home(tmp_path / "home"), EventBus()
        package = InstallStore(home.plugins, bus, grants=Grants(home, bus)).install(BUNDLED / PLUGIN)
        Grants(home, bus).grant(package.manifest, map(parse_grant, grants))
        return home

    return make_home


def config(server: MusicServer) -> str:
    """The source's configuration."""
    return json.dumps({"server_url": server.url, "username": USER, "password": PASSWORD})


def test_an_album_by_the_public_api(server: MusicServer, make_home: Callable[..., Home]) -> None:
    """With a grant for the local server, each track comes as it lies there."""
    with PluginRuntime(make_home(f"local:{server.url}"), RuntimeRoute.HYBRID) as runtime:
        catalog = runtime.open_source(PLUGIN, config_json=config(server)).instance
        albums = json.loads(catalog.list_items_json('{"action": "browse", "id": "albums"}'))["items"]
        (album,) = [item for item in albums if item["title"] == "Der Album"]
        tracks = json.loads(catalog.list_items_json(json.dumps({"action": "browse", "id": album["id"]})))["items"]
        assert [track["title"] for track in tracks] == list(TITLES)
        for number, track in enumerate(tracks, 1):
            stream = catalog.open_stream_json(json.dumps(track["track"])).stream()
            data = b""
            while more := stream.read(1 << 18):
                data += more
            stream.close()
            assert data == (server.music / "Ånn" / "Der Album" / f"{number:02}.flac").read_bytes()
        catalog.close()


def test_without_a_grant_the_error_names_it(server: MusicServer, make_home: Callable[..., Home]) -> None:
    """What to type stands in the hint, and what was denied in the record; no password in either."""
    home = make_home()
    with PluginRuntime(home, RuntimeRoute.HYBRID) as runtime:
        catalog = runtime.open_source(PLUGIN, config_json=config(server)).instance
        with pytest.raises(PluginFailure) as failure:
            catalog.list_items_json('{"action": "browse", "id": "albums"}')
        catalog.close()
    assert failure.value.case == "denied"
    assert f"local:{server.url}" in (failure.value.hint or "")
    audit = repr(Grants(home, EventBus()).audit())
    assert "127.0.0.1" in audit
    assert PASSWORD not in audit + str(failure.value)
