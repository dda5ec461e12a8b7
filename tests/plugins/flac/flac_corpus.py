"""Three hundred files and more, of every encoder, and what is in each."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import flac_sounds
import flac_streams
from flac_encoders import by_ffmpeg, by_flac, by_flac_to_pipe, by_sndfile
from flac_sounds import Ints
from flac_streams import Frame, Subframe

ID3 = b"ID3\x04\x00\x00\x00\x00\x01\x05TIT2" + bytes(129)


@dataclasses.dataclass(frozen=True)
class Made:
    """A file and its sound."""

    name: str
    data: bytes
    samples: Ints
    bits: int


Group = Callable[[Path], Iterator[Made]]
GROUPS: dict[str, Group] = {}


def _group(make: Group) -> Group:
    GROUPS[make.__name__] = make
    return make


@_group
def levels(folder: Path) -> Iterator[Made]:
    """Every level of the program, at every width that libsndfile reads."""
    for level, bits in itertools.product(range(9), (8, 16, 24)):
        samples = flac_sounds.piece(bits)
        yield Made(f"-{level} {bits}", by_flac(folder, samples, bits, f"-{level}"), samples, bits)
    for options in (["-8", "-e"], ["-8", "-p"], ["-8", "-e", "-p"], ["-5", "-A", "flattop"], ["--no-md5-sum", "-5"]):
        samples = flac_sounds.piece(16, frames=9_000)
        if options[0] == "--no-md5-sum":
            data = bytearray(by_flac(folder, samples, 16, "-5"))
            data[26:42] = bytes(16)
            yield Made("no checksum", bytes(data), samples, 16)
        else:
            yield Made(" ".join(options), by_flac(folder, samples, 16, *options), samples, 16)


@_group
def widths(folder: Path) -> Iterator[Made]:
    """Bit depths from 4 to 32, of sounds that are easy and hard."""
    for bits, level in itertools.product((5, 8, 12, 16, 20, 24, 32), (0, 5, 8)):
        samples = flac_sounds.piece(bits, frames=8_000)
        yield Made(f"music {bits} -{level}", by_flac(folder, samples, bits, f"-{level}", "--lax"), samples, bits)
    for bits in (8, 12, 16, 20, 24, 32):
        for name, samples in (
            ("noise", flac_sounds.noise(bits)),
            ("steps", flac_sounds.steps(bits)),
            ("opposed", flac_sounds.opposed(bits)),
            ("sparse", flac_sounds.sparse(bits)),
            ("wasted", flac_sounds.wasted(bits, bits // 2)),
        ):
            yield Made(f"{name} {bits}", by_flac(folder, samples, bits, "-5", "--lax"), samples, bits)


@_group
def blocks(folder: Path) -> Iterator[Made]:
    """Odd block sizes, the smallest and the largest."""
    samples = flac_sounds.piece(16, frames=20_011)
    for size in (16, 17, 31, 63, 192, 255, 576, 577, 1000, 1152, 2304, 4095, 4096, 4608, 9999, 16384, 32768, 65535):
        yield Made(f"-b {size}", by_flac(folder, samples, 16, "-5", "--lax", "-b", str(size)), samples, 16)
    for frames in (1, 2, 15, 16, 17, 4095, 4096, 4097, 70_001):
        short = flac_sounds.piece(16, frames=frames)
        yield Made(f"{frames} frames", by_flac(folder, short, 16, "-5", "--lax"), short, 16)
    long = flac_sounds.piece(24, frames=140_000)
    yield Made("24 bits -b 65535", by_flac(folder, long, 24, "-5", "--lax", "-b", "65535"), long, 24)


@_group
def layouts(folder: Path) -> Iterator[Made]:
    """One to eight channels, and every way to code two."""
    for channels, bits in itertools.product(range(1, 9), (16, 24)):
        samples = flac_sounds.piece(bits, channels, 9_000)
        yield Made(f"{channels} channels {bits}", by_flac(folder, samples, bits, "-5"), samples, bits)
    for option, bits in itertools.product(("-m", "-M", "--no-mid-side"), (16, 24)):
        for name, samples in (("music", flac_sounds.piece(bits, 2, 20_000)), ("opposed", flac_sounds.opposed(bits))):
            yield Made(f"{option} {name} {bits}", by_flac(folder, samples, bits, "-6", option), samples, bits)
    for channels in (1, 2):
        samples = flac_sounds.silence(channels)
        yield Made(f"silence {channels}", by_flac(folder, samples, 16, "-5"), samples, 16)


@_group
def rates(folder: Path) -> Iterator[Made]:
    """Every way to write a rate."""
    samples = flac_sounds.piece(16, frames=6_000)
    common = (8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000, 176_400, 192_000)
    for rate in (1, 1_000, 11_025, *common, 12_345, 65_535, 100_000, 255_000, 384_000, 655_350):
        yield Made(f"{rate} Hz", by_flac(folder, samples, 16, "-5", "--lax", rate=rate), samples, 16)


@_group
def lax(folder: Path) -> Iterator[Made]:
    """Long predictors, precisions, partitions."""
    for bits, order in itertools.product((16, 24), (0, 1, 2, 3, 5, 7, 9, 11, 13, 15, 16, 24, 31, 32)):
        samples = flac_sounds.piece(bits, frames=9_000)
        yield Made(f"-l {order} {bits}", by_flac(folder, samples, bits, "-5", "--lax", "-l", str(order)), samples, bits)
    for precision in (5, 8, 11, 15):
        samples = flac_sounds.piece(16, frames=9_000)
        options = ("-8", "--lax", "-q", str(precision))
        yield Made(f"-q {precision}", by_flac(folder, samples, 16, *options), samples, 16)
    for partitions in ("0", "1", "4,4", "8,8", "15"):
        samples = flac_sounds.sparse(16, frames=20_000)
        options = ("-5", "--lax", "-r", partitions)
        yield Made(f"-r {partitions}", by_flac(folder, samples, 16, *options), samples, 16)


@_group
def metadata(folder: Path) -> Iterator[Made]:
    """Seek tables, padding, tags, pictures, and what stands before and behind."""
    samples = flac_sounds.piece(16, frames=30_000)
    cover = folder / "cover.png"
    cover.write_bytes(bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
        "0000000c4944415408d763f8cfc0000000030001a5f645400000000049454e44ae426082"
    ))  # fmt: skip
    for options in (
        ["-S", "-"], ["-S", "1x"], ["-S", "1000x"], ["-S", "0.1s"], ["-S", "5000;9000;29999"], ["-S", "X;X;X"],
        ["-P", "0"], ["-P", "1"], ["-P", "70000"], ["--no-padding"], ["-T", "TITLE=a", "-T", "ARTIST=b"],
        [f"--picture={cover}"], ["--limit-min-bitrate"], ["--no-seektable"],
    ):  # fmt: skip
        yield Made(" ".join(options), by_flac(folder, samples, 16, "-5", *options), samples, 16)
    plain = by_flac(folder, samples, 16, "-5", "-S", "1000x")
    info = plain[8:42]
    frames = plain[plain.index(b"\xff\xf8", 4096) :]
    sheet = bytes(395) + b"\x01" + bytes(8) + b"\xaa" + bytes(27)  # no track but the lead-out
    others = [(0, info), (2, b"test" + bytes(500)), (5, sheet), (126, b"?" * 99), (1, b"")]
    yield Made("strange blocks", flac_streams.metadata(others) + frames, samples, 16)
    yield Made("ID3", ID3 + plain, samples, 16)
    yield Made("ID3 twice", ID3 + ID3 + plain, samples, 16)
    yield Made("ID3v1 behind", plain + b"TAG" + bytes(125), samples, 16)
    yield Made("noise behind", plain + bytes(range(256)) * 40, samples, 16)
    for level, bits in itertools.product((0, 5, 8), (16, 24)):
        cut = flac_sounds.piece(bits, frames=12_000)
        yield Made(f"pipe -{level} {bits}", by_flac_to_pipe(cut, bits, f"-{level}"), cut, bits)


@_group
def sndfile(folder: Path) -> Iterator[Made]:
    """Libsndfile's own files."""
    for level, bits, channels in itertools.product((0.0, 0.5, 1.0), (8, 16, 24), (1, 2, 6)):
        samples = flac_sounds.piece(bits, channels, 8_000)
        data = by_sndfile(samples, bits, level=level)
        yield Made(f"level {level} {bits} bits {channels} channels", data, samples, bits)


@_group
def ffmpeg(folder: Path) -> Iterator[Made]:
    """FFmpeg's encoder, which makes other choices."""
    for level, bits in itertools.product(range(13), (16, 24)):
        samples = flac_sounds.piece(bits, frames=14_000)
        data = by_ffmpeg(samples, bits, {"compression_level": str(level)})
        yield Made(f"level {level} {bits}", data, samples, bits)
    for options in (
        {"lpc_type": "cholesky", "lpc_passes": "3"}, {"lpc_type": "fixed"}, {"lpc_type": "none"},
        {"ch_mode": "indep"}, {"ch_mode": "left_side"}, {"ch_mode": "right_side"}, {"ch_mode": "mid_side"},
        {"min_prediction_order": "20", "max_prediction_order": "32"}, {"prediction_order_method": "search"},
        {"exact_rice_parameters": "1"}, {"multi_dim_quant": "1"}, {"lpc_coeff_precision": "15"},
        {"min_partition_order": "7", "max_partition_order": "8"}, {"frame_size": "333"}, {"frame_size": "65535"},
    ):  # fmt: skip
        for bits in (16, 24):
            samples = flac_sounds.piece(bits, frames=14_000)
            yield Made(f"{options} {bits}", by_ffmpeg(samples, bits, options), samples, bits)
    for channels in (1, 3, 4, 5, 6, 7, 8):
        samples = flac_sounds.piece(16, channels, 9_000)
        yield Made(f"{channels} channels", by_ffmpeg(samples, 16, {}), samples, 16)


@_group
def rare(folder: Path) -> Iterator[Made]:
    """What no encoder does: every feature drawn at random, and each by name."""
    for bits, seed in itertools.product((4, 8, 12, 16, 20, 24, 32), range(3)):
        for name, samples in (
            ("music", flac_sounds.piece(bits, 2, 5_000)),
            ("noise", flac_sounds.noise(bits, 2, 2_000, seed)),
            ("opposed", flac_sounds.opposed(bits, 2_000)),
        ):
            yield Made(f"{name} {bits} #{seed}", flac_streams.shuffled(samples, bits, seed), samples, bits)
    samples = flac_sounds.piece(16, 1, 2_048)
    for name, how in (
        ("all escapes", Subframe(partition_order=4, escape=lambda part: True)),
        ("some escapes", Subframe(kind="lpc", order=8, partition_order=4, escape=lambda part: part % 3 == 0)),
        ("rice2", Subframe(rice2=True, partition_order=3)),
        ("long codes", Subframe(order=1, parameter=lambda part: 0)),
        ("large parameters", Subframe(rice2=True, parameter=lambda part: 30)),
        ("parameter 14", Subframe(parameter=lambda part: 14)),
        ("order 0", Subframe(order=0)),
        ("order 32, 15 bits", Subframe(kind="lpc", order=32, precision=15)),
        ("order 32, 2 bits", Subframe(kind="lpc", order=32, precision=2, rice2=True)),
    ):
        data = flac_streams.stream(samples, 16, Frame(channels=(how,)))
        yield Made(name, data, samples, 16)
    flat = flac_sounds.silence(2, 4_096) - 3
    constant = Frame("mid-side", (Subframe("constant"),))
    yield Made("constants", flac_streams.stream(flat, 16, constant), flat, 16)
    for low in (1, 5, 14):
        cut = flac_sounds.wasted(16, low)
        shifted = Frame(channels=(Subframe(wasted=low),))
        yield Made(f"{low} wasted", flac_streams.stream(cut, 16, shifted), cut, 16)
    wide = flac_sounds.wasted(32, 8)[:3_000]
    for stereo in ("left-side", "side-right", "mid-side"):
        # A 33-bit side channel with bits wasted, which has room in 32 bits for a while.
        frame = Frame(stereo, (Subframe(wasted=7, rice2=True, kind="lpc", order=6), Subframe(rice2=True, wasted=7)))
        yield Made(f"wide {stereo}", flac_streams.stream(wide, 32, frame), wide, 32)
