"""The road that a user takes: install, grant, browse, search and render an album of a real server."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from music_server import PASSWORD, TITLES, USER, MusicServer, start_server
from program import Program

from stellatune_plugins.native.music_tags import MusicFile

pytestmark = pytest.mark.timeout(300)  # whole programs, on a machine that may be busy
PLUGIN = "dev.stellatune.opensubsonic"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MusicServer]:
    """The server."""
    server = start_server(tmp_path_factory.mktemp("server"))
    yield server
    server.kill()


@pytest.fixture(scope="module")
def program(server: MusicServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The program with the plugin installed, and the server granted to it."""
    program = Program(tmp_path_factory.mktemp("user"), secret=PASSWORD)
    program.run("plugin", "install", "opensubsonic", "--grant", f"local:{server.url}")
    yield program
    program.close()


@pytest.fixture
def source(server: MusicServer, tmp_path: Path) -> str:
    """The plugin with its configuration in a file, as the command line names it."""
    path = tmp_path / "server.json"
    path.write_text(json.dumps({"server_url": server.url, "username": USER, "password": PASSWORD}), "utf-8")
    return f"{PLUGIN}=@{path}"


def items(program: Program, *arguments: str) -> list[dict[str, Any]]:
    """What a list has."""
    found: list[dict[str, Any]] = json.loads(program.run("source", *arguments, "--json"))["items"]
    return found


def original(server: MusicServer, number: int) -> Path:
    """A track as the file that it is on the server."""
    return server.music / "Ånn" / "Der Album" / f"{number:02}.flac"


def same_sound(one: Path, other: Path) -> bool:
    """Whether two files have the same samples."""
    (a, rate), (b, other_rate) = soundfile.read(one, dtype="int16"), soundfile.read(other, dtype="int16")
    return rate == other_rate and np.array_equal(a, b)


def test_a_whole_album_is_browsed_and_rendered(
    program: Program, source: str, server: MusicServer, tmp_path: Path
) -> None:
    """From the list of albums to files with the same samples and tags, several tracks at a time."""
    (album,) = [item for item in items(program, "browse", source, "albums") if item["title"] == "Der Album"]
    tracks = items(program, "browse", source, album["id"])
    assert [track["title"] for track in tracks] == list(TITLES)
    out = tmp_path / "out"
    program.run(
        "render", *[track["uri"] for track in tracks], "--source", source, "--runtime", "hybrid", "-o", out,
        "--format", "flac16",
    )  # fmt: skip
    rendered = sorted(out.iterdir())
    assert len(rendered) == len(TITLES)
    for number, path in enumerate(rendered, 1):
        assert same_sound(path, original(server, number))
        with path.open("rb") as file:
            assert MusicFile(file, path.name).metadata().tags.title == TITLES[number - 1]


def test_a_track_is_found_and_rendered_by_its_description(
    program: Program, source: str, server: MusicServer, tmp_path: Path
) -> None:
    """What a search lists under ``track`` renders as well as the URI does."""
    (hit,) = [item for item in items(program, "search", source, "Zweites") if item["kind"] == "track"]
    out = tmp_path / "out.flac"
    program.run("render", json.dumps(hit["track"]), "--source", source, "--runtime", "hybrid", "-o", out)
    assert same_sound(out, original(server, 2))


def _render_long(program: Program, source: str, out: Path) -> subprocess.Popen[str]:
    (hit,) = [item for item in items(program, "search", source, "Long") if item["title"] == "Long"]
    return program.start("render", hit["uri"], "--source", source, "--runtime", "hybrid", "-o", out)


def _sending(server: MusicServer, before: int) -> bool:
    return any(asked["path"] == "/rest/stream.view" for asked in server.requests()[before:])


def _wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_render_survives_the_servers_restart(
    program: Program, source: str, server: MusicServer, tmp_path: Path
) -> None:
    """The server is killed while it sends and started again: the file that comes out is whole."""
    out, before = tmp_path / "out.flac", len(server.requests())
    with server.slow():
        process = _render_long(program, source, out)
        _wait(lambda: _sending(server, before))
        time.sleep(0.3)
        server.kill()
        restart = threading.Timer(0.5, server.start)
        restart.start()
    printed = "".join(process.communicate(timeout=100))
    restart.join()
    assert process.returncode == 0, printed
    assert same_sound(out, original(server, 5))
    streams = [asked for asked in server.requests()[before:] if asked["path"] == "/rest/stream.view"]
    assert any(asked["range"] for asked in streams), streams


def test_a_render_from_a_server_that_stays_away_fails_in_time(
    program: Program, source: str, server: MusicServer, tmp_path: Path
) -> None:
    """With an error that names the server, within the read timeout; no half file is left."""
    out, before = tmp_path / "out.flac", len(server.requests())
    try:
        with server.slow():
            process = _render_long(program, source, out)
            _wait(lambda: _sending(server, before))
            time.sleep(0.3)
            server.kill()
            started = time.monotonic()
            printed = "".join(process.communicate(timeout=100))
        assert process.returncode == 1
        assert time.monotonic() - started < 45
        assert "127.0.0.1" in printed
        assert "Traceback" not in printed
        assert list(tmp_path.glob("*.flac*")) == []
        assert list(tmp_path.glob(".*.part")) == []
    finally:
        server.start()


def test_what_is_wrong_is_said(program: Program, server: MusicServer, tmp_path: Path) -> None:
    """A wrong password, a track that is not there, and a server that nobody granted; the last names the grant."""
    config = {"server_url": server.url, "username": USER, "password": "not this one"}
    said = program.run("source", "browse", f"{PLUGIN}={json.dumps(config)}", "artists", code=1)
    assert "Wrong username or password" in said
    assert "not this one" not in said
    config["password"] = PASSWORD
    said = program.run(
        "render", "opensubsonic:track/00000000-0000-0000-0000-000000000000", "--source",
        f"{PLUGIN}={json.dumps(config)}", "--runtime", "hybrid", "-o", tmp_path / "x.flac", code=1,
    )  # fmt: skip
    assert "not found" in said
    config["server_url"] = "http://127.0.0.1:9"
    said = program.run("source", "browse", f"{PLUGIN}={json.dumps(config)}", "artists", code=1)
    assert "--grant local:http://127.0.0.1:9" in said
