"""Seeks are exact to the sample, whatever the file says or does not say about places."""

from __future__ import annotations

import random
from collections.abc import Callable

import flac_sounds
import flac_streams
import numpy as np
import pytest
from flac_encoders import by_ffmpeg, by_flac, by_flac_to_pipe
from flac_player import MemoryStream, Player, drain

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.model import Block, Frames

Track = tuple[str, bytes, Block, int]
"""A name, a file, its samples and its rate."""


def _lying_table(data: bytes) -> bytes:
    """Every seek point moved to a wrong place."""
    begin = 42
    assert data[begin] & 0x7F == 3
    out = bytearray(data)
    for at in range(begin + 4, begin + 4 + int.from_bytes(data[begin + 1 : begin + 4], "big"), 18):
        out[at + 8 : at + 16] = (int.from_bytes(data[at + 8 : at + 16], "big") * 3 // 4 + 11).to_bytes(8, "big")
    return bytes(out)


@pytest.fixture(scope="module")
def tracks(tmp_path_factory: pytest.TempPathFactory) -> list[Track]:
    """Files with and without tables, lengths and fixed blocks."""
    folder = tmp_path_factory.mktemp("tracks")
    long = flac_sounds.piece(16, 2, 6 * 44_100, 0)
    short = flac_sounds.piece(24, 2, 60_000)
    shuffled = flac_sounds.piece(16, 2, 20_000)
    table = by_flac(folder, long, 16, "-5", "-S", "0.5s")
    found: list[tuple[str, bytes, flac_sounds.Ints, int, int]] = [
        ("table", table, long, 16, 44_100),
        ("lying table", _lying_table(table), long, 16, 44_100),
        ("no table", by_flac(folder, long, 16, "-8", "--no-seektable", "-b", "4608", "--lax"), long, 16, 44_100),
        ("small blocks", by_flac(folder, long, 16, "-0", "--no-seektable", "-b", "192"), long, 16, 44_100),
        ("large blocks", by_flac(folder, long, 16, "-5", "--lax", "-b", "65535", "--no-seektable"), long, 16, 44_100),
        ("length unknown", by_flac_to_pipe(long, 16, "-5"), long, 16, 44_100),
        ("24 bits at 96 kHz", by_flac(folder, short, 24, "-6", rate=96_000), short, 24, 96_000),
        ("655350 Hz", by_flac(folder, short, 24, "-6", "--lax", rate=655_350), short, 24, 655_350),
        ("six channels", by_ffmpeg(x := flac_sounds.piece(16, 6, 100_000), 16, {}), x, 16, 44_100),
        ("variable blocks", flac_streams.shuffled(shuffled, 16, 9), shuffled, 16, 44_100),
    ]
    return [(name, data, flac_sounds.floats(samples, bits), rate) for name, data, samples, bits, rate in found]


@pytest.mark.needs("flac")
@pytest.mark.stress
def test_seeks_land_on_the_sample(flac: Player, tracks: list[Track], stress_size: Callable[[int, int], int]) -> None:
    """A thousand random places and more, a hundred a file: the next frame is that of the millisecond, rounded down."""
    draw = random.Random(6)
    for name, data, samples, rate in tracks:
        session = flac.open(data)
        try:
            assert session.info().seekable
            for _ in range(stress_size(100, 2_000)):
                ms = draw.randrange(len(samples) * 1000 // rate)
                session.seek_ms(ms)
                at = ms * rate // 1000
                wanted = min(draw.choice([1, 50, 5_000]), len(samples) - at)
                got = _read(session, wanted)
                assert np.array_equal(got, samples[at : at + wanted]), (name, ms)
        finally:
            session.close()


def _read(session: object, frames: int) -> Block:
    blocks = []
    while frames:
        chunk = session.read_pcm(Frames(frames))  # type: ignore[attr-defined]
        blocks.append(chunk.block)
        frames -= len(chunk.block)
        assert not chunk.eof or not frames
    return np.concatenate(blocks)


@pytest.mark.needs("flac")
def test_the_ends_can_be_reached(flac: Player, tracks: list[Track]) -> None:
    """The last millisecond, the end, far beyond it, and back to the start, where the checksum counts again."""
    for name, data, samples, rate in tracks:
        session = flac.open(data)
        try:
            last = (len(samples) - 1) * 1000 // rate
            session.seek_ms(last)
            assert np.array_equal(drain(session).samples, samples[last * rate // 1000 :]), name
            for beyond in (len(samples) * 1000 // rate + 1, 2**40, 2**64 - 1):
                session.seek_ms(beyond)
                track = drain(session)
                assert len(track.samples) == 0, name
                assert not track.failures, name
            session.seek_ms(0)
            track = drain(session)
            assert np.array_equal(track.samples, samples), name
            assert not track.failures, name
        finally:
            session.close()


@pytest.mark.needs("flac")
def test_seeks_around_damage_stay_exact(flac: Player, tracks: list[Track]) -> None:
    """What is sound is found at its place; what is damaged is silence there."""
    draw = random.Random(8)
    for name, data, samples, rate in tracks[:4]:
        begin = len(data) // 3
        damaged = bytearray(data)
        damaged[begin : begin + 9_000] = draw.randbytes(9_000)
        whole = flac.decode(bytes(damaged))
        assert len(whole.samples) == len(samples)
        session = flac.open(bytes(damaged))
        try:
            for _ in range(12):
                ms = draw.randrange(len(samples) * 1000 // rate)
                session.seek_ms(ms)
                got = drain(session)
                expected = whole.samples[ms * rate // 1000 :]
                assert len(got.samples) == len(expected), (name, ms)
                assert np.array_equal(got.samples[9_000:], expected[9_000:]), (name, ms)
        finally:
            session.close()


@pytest.mark.needs("flac")
def test_a_stream_that_only_goes_forward_is_played_and_not_sought(flac: Player, tracks: list[Track]) -> None:
    """Its session says so, plays, and refuses to seek."""
    for name, data, samples, _ in tracks:
        session = flac.open(MemoryStream(data, forward=True))
        try:
            assert not session.info().seekable
            with pytest.raises(PluginFailure, match="the stream cannot seek"):
                session.seek_ms(100)
            track = drain(session)
            assert np.array_equal(track.samples, samples), name
            assert not track.failures
        finally:
            session.close()


@pytest.mark.parametrize("variable", [False, True])
def test_numbers_that_do_not_begin_at_zero_count_from_the_first(flac: Player, *, variable: bool) -> None:
    """Streams that were cut out of others, or joined in the middle, keep the numbers of the whole."""
    samples = flac_sounds.piece(16, 2, 30_000)
    how = flac_streams.Frame("mid-side", (flac_streams.Subframe(),))
    frames = [
        flac_streams.frame(
            samples[at : at + 500], 16, at + 77_000 if variable else 154 + at // 500, how, variable=variable
        )
        for at in range(0, len(samples), 500)
    ]
    info = flac_streams.stream_info(samples, 16, blocks=(500, 500))
    session = flac.open(flac_streams.metadata([(0, info)]) + b"".join(frames))
    try:
        assert np.array_equal(drain(session).samples, flac_sounds.floats(samples, 16))
        for ms in (400, 3, 670):
            session.seek_ms(ms)
            at = ms * 44_100 // 1000
            assert np.array_equal(_read(session, 300), flac_sounds.floats(samples[at : at + 300], 16)), ms
    finally:
        session.close()
