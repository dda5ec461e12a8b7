"""Damaged files: libsndfile's samples up to its refusal, the same refusal, and the rest of the music in its place."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import flac_sounds
import flac_streams
import numpy as np
import pytest
from flac_encoders import by_ffmpeg, by_flac, by_sndfile
from flac_oracle import heard
from flac_player import Player, Track

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.model import Block

FRAMES = 30_000
MARK = b"\xff\xf8"


@dataclass(frozen=True)
class Whole:
    """A sound file."""

    data: bytes
    samples: Block
    begin: int
    """Where the first frame is."""
    block: int


@pytest.fixture(scope="module")
def wholes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Whole, ...]:
    """Files to be damaged, each by another encoder and of another shape."""
    folder = tmp_path_factory.mktemp("wholes")
    found = []
    for data, samples, bits in (
        (by_flac(folder, x := flac_sounds.piece(16, 2, FRAMES), 16, "-5", "-b", "1152", "-S", "4000x"), x, 16),
        (by_flac(folder, x := flac_sounds.piece(24, 1, FRAMES), 24, "-8", "--no-padding"), x, 24),
        (by_ffmpeg(x := flac_sounds.piece(16, 6, FRAMES), 16, {"frame_size": "1000"}), x, 16),
        (by_sndfile(x := flac_sounds.piece(8, 2, FRAMES), 8), x, 8),
    ):
        begin = data.index(MARK, 42)
        while data[begin + 2] == 0xFF:
            begin = data.index(MARK, begin + 1)
        block = int.from_bytes(data[10:12], "big")
        found.append(Whole(data, flac_sounds.floats(samples, bits), begin, block))
    return tuple(found)


def compare(player: Player, data: bytes, whole: Whole) -> Track | None:
    """The two decoders over the same bytes; gives our track, ``None`` where both refuse to open."""
    theirs = heard(data, 256)
    try:
        ours = player.decode(data, 777)
    except PluginFailure:
        # What is no stream, or has no sound at all, is nothing for anybody.
        assert theirs.samples is None or len(theirs.samples) == 0 or theirs.refused
        return None
    sure = ours.failures[0][0] if ours.failures else len(ours.samples)
    if theirs.samples is not None and theirs.samples.shape[1] == ours.samples.shape[1]:
        common = min(sure, len(theirs.samples))
        assert np.array_equal(ours.samples[:common], theirs.samples[:common])
    if theirs.refused and not ours.failures:
        # Then the damage is in tags or tables, which are no reason to be silent.
        assert np.array_equal(ours.samples, whole.samples)
    return ours


@pytest.mark.needs("flac")
@pytest.mark.stress
def test_flipped_bits_in_the_sound_cost_one_frame(
    flac: Player, wholes: tuple[Whole, ...], stress_size: Callable[[int, int], int]
) -> None:
    """The frame with the wrong bit is told of, and silence; every other sample is right and in its place."""
    draw = random.Random(1)
    for _ in range(stress_size(80, 3_000)):
        whole = draw.choice(wholes)
        data = bytearray(whole.data)
        at = draw.randrange(whole.begin, len(data))
        data[at] ^= 1 << draw.randrange(8)
        track = compare(flac, bytes(data), whole)
        assert track is not None
        assert track.failures, at
        # The last frame cannot be told from a truncation: nothing comes behind it.
        assert len(track.samples) in {FRAMES, FRAMES - FRAMES % whole.block, FRAMES - whole.block}
        kept = whole.samples[: len(track.samples)]
        wrong = np.flatnonzero((track.samples != kept).any(axis=1))
        if len(wrong):
            assert not track.samples[wrong].any()
            assert wrong[-1] - wrong[0] < 2 * whole.block


@pytest.mark.needs("flac")
@pytest.mark.stress
def test_truncated_files_end_where_libsndfile_ends(
    flac: Player, wholes: tuple[Whole, ...], stress_size: Callable[[int, int], int]
) -> None:
    """All whole frames come, and then a word about the rest."""
    draw = random.Random(2)
    for _ in range(stress_size(60, 2_000)):
        whole = draw.choice(wholes)
        length = draw.randrange(whole.begin if draw.random() < 0.9 else 0, len(whole.data))
        track = compare(flac, whole.data[:length], whole)
        if track is None:
            continue
        assert np.array_equal(track.samples, whole.samples[: len(track.samples)])
        assert len(track.samples) == FRAMES - FRAMES % whole.block or len(track.samples) % whole.block == 0
        ((frames, message),) = track.failures
        assert frames == len(track.samples)
        assert message == f"the stream ends after {frames} of {FRAMES} frames of sound"


@pytest.mark.needs("flac")
@pytest.mark.stress
def test_anything_else_is_refused_like_libsndfile(
    flac: Player, wholes: tuple[Whole, ...], stress_size: Callable[[int, int], int]
) -> None:
    """Bits flipped in the metadata, pieces cut out, noise put in, pieces swapped."""
    draw = random.Random(3)
    for _ in range(stress_size(100, 4_000)):
        whole = draw.choice(wholes)
        data = bytearray(whole.data)
        kind = draw.randrange(5)
        at = draw.randrange(whole.begin, len(data))
        if kind == 0:
            data[draw.randrange(26, whole.begin)] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del data[at : at + draw.randrange(1, 12_000)]
        elif kind == 2:
            data[at:at] = draw.randbytes(draw.randrange(1, 3_000))
        elif kind == 3:
            data[at : at + 600] = bytes(600)
        else:
            data[at:at] = data[whole.begin : whole.begin + draw.randrange(2, 4_000)]
        compare(flac, bytes(data), whole)


def test_one_flip_of_each_bit_of_the_description(flac: Player) -> None:
    """Whatever a description claims, the samples that come are right or silence, and nothing breaks."""
    samples = flac_sounds.piece(16, 2, 2_000)
    right = flac_sounds.floats(samples, 16)
    whole = flac_streams.stream(samples, 16, flac_streams.Frame("mid-side", (flac_streams.Subframe(),)))
    for bit in range(8 * 42):
        data = bytearray(whole)
        data[bit // 8] ^= 0x80 >> bit % 8
        try:
            track = flac.decode(bytes(data))
        except PluginFailure:
            continue
        if track.samples.shape[1] == 2 and len(track.samples) <= len(right):
            wrong = (track.samples != right[: len(track.samples)]).any(axis=1)
            assert not track.samples[wrong].any(), bit


def _with_right_sums(data: bytearray, begin: int, end: int) -> None:
    """The header's and the frame's checksums are right again."""
    number = 1 if data[begin + 4] < 0x80 else 8 - (data[begin + 4] ^ 0xFF).bit_length()
    size = 4 + number + {6: 1, 7: 2}.get(data[begin + 2] >> 4, 0) + {12: 1, 13: 2, 14: 2}.get(data[begin + 2] & 15, 0)
    data[begin + size] = flac_streams.crc(data[begin : begin + size], 8, 0x07)
    data[end - 2 : end] = flac_streams.crc(data[begin : end - 2], 16, 0x8005).to_bytes(2, "big")


@pytest.mark.stress
def test_lies_with_right_checksums_break_nothing(flac: Player, stress_size: Callable[[int, int], int]) -> None:
    """Frames in which anything may stand, but which pass every check: samples come, or refusals, and no trap."""
    draw = random.Random(4)
    honest = [_one_frame(draw, bits, channels) for bits in (4, 8, 12, 16, 20, 24, 32) for channels in (1, 2, 2, 8)]
    for turn in range(stress_size(250, 40_000)):
        data = bytearray(draw.choice(honest))
        begin = 42
        for _ in range(draw.randint(1, 4)):
            place = draw.choice([draw.randrange(begin + 6, len(data) - 2), begin + draw.randrange(6, 24)])
            data[place] = draw.choice([draw.randrange(256), 0, 0xFF, data[place] ^ 1 << draw.randrange(8)])
        _with_right_sums(data, begin, len(data))
        try:
            track = flac.decode(bytes(data))
        except PluginFailure:
            continue
        assert len(track.samples) <= 300, turn
        assert np.isfinite(track.samples).all(), turn


def _one_frame(draw: random.Random, bits: int, channels: int) -> bytes:
    samples = flac_sounds.piece(bits, channels, 300)
    how = flac_streams.Frame(
        draw.choice(["left-side", "side-right", "mid-side"]) if channels == 2 else "independent",
        (flac_streams.Subframe(kind=draw.choice(["fixed", "lpc"]), order=draw.randint(1, 12), partition_order=2),),
    )
    return flac_streams.stream(samples, bits, how, block=300)


def test_a_wrong_checksum_of_the_sound_is_told_once(flac: Player) -> None:
    """At the end of a straight read, after all samples."""
    samples = flac_sounds.piece(16, 2, 5_000)
    data = bytearray(flac_streams.stream(samples, 16, flac_streams.Frame("mid-side", (flac_streams.Subframe(),))))
    data[30] ^= 1
    track = flac.decode(bytes(data), 512)
    assert np.array_equal(track.samples, flac_sounds.floats(samples, 16))
    assert track.failures == [(5_000, "the sound is not what was encoded: its MD5 checksum differs from the header's")]


def test_ogg_and_other_formats_are_refused_by_name(flac: Player) -> None:
    """The refusal says what it is."""
    for data, message in (
        (b"OggS" + bytes(200), "FLAC in an Ogg container is not supported"),
        (b"RIFF" + bytes(200), "not a FLAC stream"),
        (b"", "not a FLAC stream: it ends before it begins"),
        (b"fLaC", "the stream ends within its metadata"),
        (b"fLaC\x84\x00\x00\x04abcd", "the stream does not say what it is: there is no STREAMINFO"),
    ):
        with pytest.raises(PluginFailure, match=message):
            flac.open(data)


@pytest.mark.needs("flac")
def test_a_gap_of_hours_is_not_believed(flac: Player, tmp_path: Path) -> None:
    """A frame behind damage that claims to be far ahead comes at once."""
    samples = flac_sounds.piece(16, 1, 4_096)
    frames = [
        flac_streams.frame(samples[at : at + 1024], 16, number, flac_streams.Frame(channels=(flac_streams.Subframe(),)))
        for at, number in ((0, 0), (1024, 1), (2048, 2**30), (3072, 2**30 + 1))
    ]
    frames[1] = frames[1][:60] + b"\0\0" + frames[1][62:]
    info = flac_streams.stream_info(samples, 16, blocks=(1024, 1024), total=0)
    track = flac.decode(flac_streams.metadata([(0, info)]) + b"".join(frames))
    assert len(track.samples) == 3 * 1024
