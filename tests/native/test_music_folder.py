"""A folder that nothing leads out of, whatever moves while it is looked at."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.native.music_folder import MAX_DEPTH, MusicFolder, to_place, to_text, uri_below


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file two levels down."""
    (tmp_path / "music" / "a" / "b").mkdir(parents=True)
    (tmp_path / "music" / "a" / "b" / "x.flac").write_bytes(b"inside")
    (tmp_path / "outside" / "b").mkdir(parents=True)
    (tmp_path / "outside" / "b" / "x.flac").write_bytes(b"outside")
    return tmp_path / "music"


_NAMES = st.binary(min_size=1, max_size=20).filter(
    lambda n: b"/" not in n and b"\0" not in n and n not in {b".", b".."}
)


@given(st.lists(_NAMES, max_size=5).map(tuple))
def test_places_survive_their_text(place: tuple[bytes, ...]) -> None:
    """Any name that Linux allows, through JSON and URIs and back."""
    text = to_text(place)
    assert text.isascii()
    assert to_place(text) == place


@pytest.mark.parametrize(
    "text", ["..", "a/../b", "/a", "a/", "a//b", ".", "a/.", "%2e%2e", "a%2fb", "%00", "a" + "/a" * MAX_DEPTH]
)
def test_what_is_no_place(text: str) -> None:
    """Refused before anything is opened."""
    with pytest.raises(PluginFailure) as refused:
        to_place(text)
    assert refused.value.case == "invalid-arg"


def test_folders_exchanged_for_links_lead_nowhere(folder: Path) -> None:
    """While another thread swaps a folder for a link out of it and back, only what is inside is ever read."""
    music = MusicFolder(folder)
    real, aside = folder / "a", folder / "aside"
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            real.rename(aside)
            real.symlink_to(folder.parent / "outside")
            real.unlink()
            aside.rename(real)

    thread = threading.Thread(target=swap)
    thread.start()
    read = refused = 0
    try:
        while (read < 50 or refused < 50) and read + refused < 100_000:
            try:
                with music.open((b"a", b"b", b"x.flac")) as file:
                    assert file.read() == b"inside"
                read += 1
            except PluginFailure as failure:
                assert failure.case in {"denied", "not-found"}  # noqa: PT017 - either, and which is chance
                refused += 1
    finally:
        stop.set()
        thread.join()
        music.close()
    assert read >= 50
    assert refused >= 50


def test_links_and_hidden_names_are_not_listed(folder: Path) -> None:
    """Neither files nor folders."""
    (folder / "link").symlink_to(folder.parent / "outside")
    (folder / "link.flac").symlink_to(folder / "a" / "b" / "x.flac")
    (folder / ".hidden").mkdir()
    os.mkfifo(folder / "pipe.flac")
    (folder / "loop").symlink_to(folder)
    music = MusicFolder(folder)
    assert [to_text(file.place) for files in music.walk() for file in files] == ["a/b/x.flac"]
    music.close()
    music.close()


def test_uris_mean_the_same_place(folder: Path) -> None:
    """What is given out comes back; anything else is refused."""
    music = MusicFolder(folder)
    place = (b"a", b"caf\xe9 #?%.flac")
    assert music.place_of(uri_below(folder, place)) == place
    for uri in (folder.parent.as_uri(), f"{folder.as_uri()}2/x", "file:/x", "file://host/x", "ftp:///x", ""):
        with pytest.raises(PluginFailure):
            music.place_of(uri)
    music.close()


def test_a_deep_tree_ends(tmp_path: Path) -> None:
    """Folders below folders are followed so far and no further."""
    here = tmp_path / "deep"
    here.mkdir()
    for _ in range(MAX_DEPTH + 10):
        (here / "x.flac").write_bytes(b"")
        here /= "d"
        here.mkdir()
    music = MusicFolder(tmp_path / "deep")
    assert sum(len(files) for files in music.walk()) == MAX_DEPTH
    music.close()
