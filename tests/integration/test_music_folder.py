"""A local music folder on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from program import Program

from stellatune_plugins.model import AudioTags, MediaMetadata
from stellatune_plugins.native.tag_writer import write_tags

pytestmark = pytest.mark.timeout(300)  # whole programs, on a machine that may be busy


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """The program."""
    program = Program(tmp_path)
    yield program
    program.close()


def test_a_folder_is_browsed_searched_and_rendered(program: Program, tmp_path: Path) -> None:
    """Down to the tracks of an album, whose URIs render; and lyrics beside a track are printed."""
    folder = tmp_path / "My #1 music"
    folder.mkdir()
    for number in (1, 2):
        path = folder / f"{number} é.flac"
        noise = np.random.default_rng(number).uniform(-0.5, 0.5, (20_000, 2))
        soundfile.write(path, noise, 44_100, format="FLAC", subtype="PCM_16")
        tags = AudioTags(title=f"Piece {number}", album="Ålbum", artists=("Ann",), track_number=number)
        with path.open("r+b") as file:
            write_tags(file, "flac", MediaMetadata(tags=tags))
    (folder / "2 é.lrc").write_bytes("[00:00.10]première\n".encode("cp1252"))
    source = f"dev.stellatune.native.folder-source={json.dumps({'folder': str(folder)})}"
    found = json.loads(program.run("source", "search", source, "album", "--json"))["items"]
    (album,) = [item for item in found if item["kind"] == "album"]
    tracks = json.loads(program.run("source", "browse", source, album["id"], "--json"))["items"]
    assert [track["title"] for track in tracks] == ["Piece 1", "Piece 2"]
    out = tmp_path / "out"
    program.run("render", *[track["uri"] for track in tracks], "--source", source, "-o", out, "--format", "flac16")
    for number, path in enumerate(sorted(out.iterdir()), 1):
        rendered, _ = soundfile.read(path, dtype="int16")
        original, _ = soundfile.read(folder / f"{number} é.flac", dtype="int16")
        assert np.array_equal(rendered, original)
    assert program.run("lyrics", folder / "2 é.flac") == "[00:00.10]première\n"
