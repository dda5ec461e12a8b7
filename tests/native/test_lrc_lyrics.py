"""Lyrics beside the track and in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from stellatune_plugins.errors import ConfigRejected, PluginFailure
from stellatune_plugins.model.lrc import parse_lrc
from stellatune_plugins.native import NativeRuntime
from stellatune_plugins.native.lrc_lyrics import MAX_FILE, LrcProvider, decode_text

LRC = "[ti:Été]\n[00:01.00]première\n[00:02.50]seconde\n"


@pytest.fixture
def track(tmp_path: Path, audio: Any) -> Path:
    """A track with tags, in a folder whose name needs quoting."""
    from mutagen.flac import FLAC  # noqa: PLC0415

    folder = tmp_path / "Some #1 100% folder"
    folder.mkdir()
    path: Path = audio.encode(folder / "01 Été.flac", "flac", audio.music(2000))
    flac: Any = FLAC
    file = flac(path)
    file["title"], file["artist"] = "Été", "Anne"
    file.save()
    return path


@pytest.mark.parametrize("as_uri", [False, True])
def test_a_file_beside_the_track(track: Path, as_uri: bool) -> None:
    """Found by the track's path or URI, whatever the ending's case."""
    track.with_suffix(".LRC").write_text(LRC)
    provider = LrcProvider()
    (hit,) = provider.search(track.as_uri() if as_uri else str(track))
    assert (hit.title, hit.artist) == ("Été", "Anne")
    assert provider.fetch(hit.id) == LRC


def test_the_best_comes_first(tmp_path: Path, audio: Any) -> None:
    """The file named like the track, the one named by artist and title, times in tags, text in tags."""
    from mutagen import id3 as mutagen_id3  # noqa: PLC0415

    id3: Any = mutagen_id3
    path = tmp_path / "x.mp3"
    import soundfile  # noqa: PLC0415

    soundfile.write(path, audio.music(48_000), 48_000, format="MP3")
    tag, utf8 = id3.ID3(), id3.Encoding.UTF8
    frames: list[Any] = [
        id3.TIT2(encoding=utf8, text=["T"]),
        id3.TPE1(encoding=utf8, text=["A"]),
        id3.USLT(encoding=utf8, lang="eng", desc="", text="just\ntext"),
        id3.SYLT(encoding=utf8, lang="eng", format=2, type=1, desc="", text=[("one", 0), ("two", 1500)]),
    ]
    for frame in frames:
        tag.add(frame)
    tag.save(path)
    (tmp_path / "A - T.lrc").write_text("[00:09.00]named")
    (tmp_path / "x.lrc").write_text("[00:08.00]beside")
    provider = LrcProvider()
    texts = [provider.fetch(hit.id) for hit in provider.search(str(path))]
    assert texts == ["[00:08.00]beside\n", "[00:09.00]named\n", "[00:00.00]one\n[00:01.50]two\n", "just\ntext\n"]


def test_words_of_a_sylt_frame_are_joined_to_lines(tmp_path: Path, audio: Any) -> None:
    """Syllables belong to the line that the last line break began."""
    from mutagen.id3 import ID3, SYLT, Encoding  # noqa: PLC0415

    id3: Any = ID3
    sylt: Any = SYLT
    path = tmp_path / "x.mp3"
    import soundfile  # noqa: PLC0415

    soundfile.write(path, audio.music(48_000), 48_000, format="MP3")
    tag = id3()
    pieces = [("so ", 0), ("it", 500), ("\ngoes", 1000), (" on", 1200)]
    tag.add(sylt(encoding=Encoding.UTF8, lang="eng", format=2, type=1, desc="", text=pieces))
    tag.save(path)
    provider = LrcProvider()
    (hit,) = provider.search(str(path))
    sheet = parse_lrc(provider.fetch(hit.id))
    assert [line.text for line in sheet.lines] == ["so it", "goes on"]
    assert [[word.at for word in line.words] for line in sheet.lines] == [[0, 500], [1000, 1200]]


def test_vorbis_comments_have_lyrics_too(track: Path) -> None:
    """Under any of their usual names; stamped text is taken before plain text."""
    from mutagen.flac import FLAC  # noqa: PLC0415

    flac: Any = FLAC
    file = flac(track)
    file["unsyncedlyrics"], file["lyrics"] = "plain", "[00:01.00]timed"
    file.save()
    provider = LrcProvider()
    (hit,) = provider.search(str(track))
    assert provider.fetch(hit.id) == "[00:01.00]timed\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_every_encoding_that_is_about(encoding: str) -> None:
    """With a mark or without one."""
    assert decode_text(LRC.encode(encoding)) == LRC


@pytest.mark.parametrize("data", [b"", b"\0", b"\xff\xfe", b"\xff\xfea", b"\x81\x8d", b"a\0", bytes(range(256))])
def test_decoding_never_fails(data: bytes) -> None:
    """Bytes in no encoding are text all the same."""
    assert isinstance(decode_text(data), str)


@pytest.mark.parametrize(
    "keyword", ["", "some words", "/nowhere/x.flac", "file://host/x.flac", "\0", "http://x/y.flac", "/etc/passwd"]
)
def test_what_is_no_track_has_no_lyrics(keyword: str) -> None:
    """No candidates, no error."""
    assert LrcProvider().search(keyword) == ()


def test_ids_that_it_never_gave(tmp_path: Path, track: Path) -> None:
    """Only LRC files and the tags of music are read."""
    (tmp_path / "secret.txt").write_text("x")
    os.mkfifo(tmp_path / "pipe.lrc")
    (tmp_path / "large.lrc").write_bytes(b"x" * (MAX_FILE + 1))
    provider = LrcProvider()
    for bad, case in [
        ((tmp_path / "secret.txt").as_uri(), "invalid-arg"),
        ((tmp_path / "secret.txt").as_uri() + "#lyrics", "invalid-arg"),
        (str(tmp_path / "secret.txt"), "invalid-arg"),
        ("", "invalid-arg"),
        ((tmp_path / "pipe.lrc").as_uri(), "denied"),
        ((tmp_path / "missing.lrc").as_uri(), "not-found"),
        ((tmp_path / "large.lrc").as_uri(), "invalid-arg"),
        (track.as_uri() + "#lyrics", "not-found"),
        (track.as_uri() + "#sylt", "not-found"),
        (track.as_uri(), "invalid-arg"),
    ]:
        with pytest.raises(PluginFailure) as failure:
            provider.fetch(bad)
        assert failure.value.case == case, bad


def test_it_is_found_by_its_entry_point(track: Path) -> None:
    """The runtime serves it, and it has nothing to configure."""
    track.with_suffix(".lrc").write_text(LRC)
    provider = NativeRuntime().lyrics("dev.stellatune.native.lrc-lyrics", "lrc").create()
    provider.apply_config("{}")
    with pytest.raises(ConfigRejected):
        provider.apply_config('{"x": 1}')
    assert len(provider.search(str(track))) == 1
    provider.close()
