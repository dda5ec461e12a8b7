"""Tags by every container's own rules, and files built to cost more than they are worth."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest

from stellatune_plugins.model import MediaMetadata
from stellatune_plugins.native import music_tags
from stellatune_plugins.native.music_tags import MusicFile, TagsUnreadable
from stellatune_plugins.native.tag_writer import write_tags

ENCODES = [("flac", "flac"), ("opus", "libopus"), ("wav", "pcm_s16le")]


@pytest.mark.parametrize(("ending", "codec"), ENCODES)
def test_what_was_written_reads_back(
    tmp_path: Path, audio: Any, metadata: MediaMetadata, ending: str, codec: str
) -> None:
    """Vorbis comments and ID3: lists stay lists, numbers numbers, and the cover comes out."""
    path = audio.encode(tmp_path / f"x.{ending}", codec, audio.music(24_000))
    with path.open("r+b") as file:
        write_tags(file, ending, metadata)
    with path.open("rb") as file:
        music = MusicFile(file, path.name)
    tags, expected = music.metadata().tags, metadata.tags
    assert tags.artists == expected.artists
    assert (tags.title, tags.album, tags.album_artists, tags.genres) == (
        expected.title, expected.album, expected.album_artists, expected.genres)  # fmt: skip
    assert (tags.track_number, tags.track_total, tags.disc_number, tags.disc_total, tags.year) == (3, 9, 1, 2, 1999)
    assert abs((music.metadata().duration_ms or 0) - 500) <= 2
    cover = music.cover()
    assert cover is not None
    assert (cover.mime, cover.data) == ("image/png", audio.png())


def test_mp4_and_asf(tmp_path: Path, audio: Any) -> None:
    """Pairs of numbers in MP4, names with prefixes in ASF."""
    from mutagen.asf import ASF  # noqa: PLC0415
    from mutagen.mp4 import MP4, MP4Cover  # noqa: PLC0415

    mp4_class: Any = MP4
    asf_class: Any = ASF
    cover_class: Any = MP4Cover
    path = audio.encode(tmp_path / "x.m4a", "aac", audio.music(24_000))
    mp4 = mp4_class(path)
    mp4["\xa9nam"], mp4["\xa9ART"], mp4["trkn"], mp4["\xa9day"] = "T", ["A", "B"], [(2, 7)], "2001-05-06"
    mp4["covr"] = [cover_class(audio.png(), MP4Cover.FORMAT_PNG)]
    mp4["\xa9lyr"] = "la la"
    mp4.save()
    with path.open("rb") as file:
        music = MusicFile(file, path.name)
    tags = music.metadata().tags
    assert (tags.title, tags.artists, tags.track_number, tags.track_total, tags.year) == ("T", ("A", "B"), 2, 7, 2001)
    assert music.cover() is not None
    assert music.lyrics().text == "la la"

    path = audio.encode(tmp_path / "x.wma", "pcm_s16le", audio.music(24_000))
    asf = asf_class(path)
    asf["Title"], asf["WM/AlbumTitle"], asf["WM/TrackNumber"] = "T", "L", "4"
    asf.save()
    with path.open("rb") as file:
        tags = MusicFile(file, path.name).metadata().tags
    assert (tags.title, tags.album, tags.track_number) == ("T", "L", 4)


def _id3(frames: bytes) -> bytes:
    size = len(frames)
    return b"ID3\x03\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + frames


def _compressed(name: bytes, size: int) -> bytes:
    data = zlib.compress(b"\0" * size, 9)
    return name + struct.pack(">IH", len(data) + 4, 0x80) + struct.pack(">I", size) + data


def test_frames_that_inflate_without_end_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compressed ID3 frames share one allowance; an honest one is read."""
    monkeypatch.setattr(music_tags, "MAX_INFLATED", 1 << 20)
    silence = b"\xff\xfb\x90\x00" + b"\0" * 413
    honest = _id3(_compressed(b"TIT2", 100)) + silence * 20
    assert MusicFile(io.BytesIO(honest), "x.mp3").metadata().duration_ms
    for frames in (_compressed(b"TIT2", 2 << 20), _compressed(b"TIT2", 600_000) + _compressed(b"TALB", 600_000)):
        with pytest.raises(TagsUnreadable, match="inflate without end"):
            MusicFile(io.BytesIO(_id3(frames) + silence * 20), "x.mp3")


def test_reading_is_bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, audio: Any) -> None:
    """Neither size nor time of a file's tags is the file's to say."""
    path = audio.encode(tmp_path / "x.flac", "flac", audio.music(24_000))
    monkeypatch.setattr(music_tags, "MAX_READ", 20)
    with path.open("rb") as file, pytest.raises(TagsUnreadable, match="larger than"):
        MusicFile(file, path.name)
    monkeypatch.setattr(music_tags, "MAX_READ", 1 << 20)
    monkeypatch.setattr(music_tags, "MAX_SECONDS", -1.0)
    with path.open("rb") as file, pytest.raises(TagsUnreadable, match="too long"):
        MusicFile(file, path.name)


@pytest.mark.parametrize("seed", range(6))
def test_damaged_files_are_refused_or_read(tmp_path: Path, audio: Any, metadata: MediaMetadata, seed: int) -> None:
    """Bytes turned at random raise the one error, or give something; never anything else."""
    import numpy as np  # noqa: PLC0415

    rng = np.random.default_rng(seed)
    for ending, codec in ENCODES:
        path = audio.encode(tmp_path / f"x.{ending}", codec, audio.music(2_000))
        with path.open("r+b") as file:
            write_tags(file, ending, metadata)
        good = path.read_bytes()
        for _ in range(40):
            data = bytearray(good)
            for at in rng.integers(0, min(len(data), 2000), 6):
                data[at] = rng.integers(0, 256)
            try:
                music = MusicFile(io.BytesIO(bytes(data)), path.name)
            except TagsUnreadable:
                continue
            music.metadata(), music.cover(), music.lyrics()
