"""Writes FLAC streams bit by bit, with every feature that RFC 9639 has and encoders rarely use."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import random
from collections.abc import Callable, Sequence

import numpy as np
from flac_sounds import Ints

FIXED: tuple[tuple[int, ...], ...] = ((), (1,), (2, -1), (3, -3, 1), (4, -6, 4, -1))
_SIZES = {8: 1, 12: 2, 16: 4, 20: 5, 24: 6, 32: 7}


class Bits:
    """Bits in a row, the first one on top."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self.length = 0

    def put(self, value: int, width: int) -> None:
        """An unsigned or two's complement number."""
        if width:
            self._parts.append(format(value & ((1 << width) - 1), f"0{width}b"))
            self.length += width

    def unary(self, zeros: int) -> None:
        """Zeros, then a one."""
        self._parts.append("0" * zeros + "1")
        self.length += zeros + 1

    def take(self) -> bytes:
        """Everything, filled up with zeros to whole bytes."""
        text = "".join(self._parts)
        text += "0" * (-len(text) % 8)
        return int("1" + text, 2).to_bytes(len(text) // 8 + 1, "big")[1:]


@functools.cache
def _table(width: int, polynomial: int) -> tuple[int, ...]:
    top, mask, table = 1 << (width - 1), (1 << width) - 1, []
    for byte in range(256):
        value = byte << (width - 8)
        for _ in range(8):
            value = (value << 1 ^ polynomial if value & top else value << 1) & mask
        table.append(value)
    return tuple(table)


def crc(data: bytes | bytearray, width: int, polynomial: int) -> int:
    """The checksum of frames: 8 bits for headers, 16 for the whole."""
    table, mask, shift, value = _table(width, polynomial), (1 << width) - 1, width - 8, 0
    for byte in data:
        value = (value << 8 & mask) ^ table[value >> shift ^ byte]
    return value


def coded_number(number: int) -> bytes:
    """A frame's or sample's number."""
    if number < 0x80:
        return bytes([number])
    count = next(n for n in range(2, 8) if number < 1 << (5 * n + 1))
    rest = [0x80 | (number >> 6 * index) & 0x3F for index in range(count - 1)]
    head = (0xFF << (8 - count) & 0xFF) | (number >> 6 * (count - 1))
    return bytes([head, *reversed(rest)])


@dataclasses.dataclass
class Subframe:
    """How one channel of one frame is written."""

    kind: str = "fixed"
    order: int = 2
    precision: int = 12
    partition_order: int = 0
    rice2: bool = False
    wasted: int = 0
    escape: Callable[[int], bool] = lambda partition: False
    """Whether a partition goes without codes."""
    parameter: Callable[[int], int] | None = None
    """The parameter of a partition; the best by default."""


def subframe(out: Bits, samples: Sequence[int], bits: int, how: Subframe) -> None:
    """One channel. Where the residual would need more than 32 bits, it goes verbatim."""
    values = [int(value) >> how.wasted for value in samples]
    width = bits - how.wasted
    kind, order = how.kind, 0
    shift = 0
    coefficients: tuple[int, ...] = ()
    rests: list[int] = []
    if kind in {"fixed", "lpc"}:
        order = min(how.order, len(values), 4 if kind == "fixed" else 32)
        shift, coefficients = (0, FIXED[order]) if kind == "fixed" else predictor(values, order, how.precision)
        rests = [
            value - (sum(c * values[at - 1 - t] for t, c in enumerate(coefficients)) >> shift)
            for at, value in enumerate(values[order:], order)
        ]
        if not all(-(2**31) < value < 2**31 for value in rests):
            kind, order = "verbatim", 0
    out.put({"constant": 0, "verbatim": 1, "fixed": 8 + order, "lpc": 31 + order}[kind] << 1 | (how.wasted > 0), 8)
    if how.wasted:
        out.unary(how.wasted - 1)
    for value in {"constant": values[:1], "verbatim": values}.get(kind, values[:order]):
        out.put(value, width)
    if kind == "lpc":
        out.put(how.precision - 1, 4)
        out.put(shift, 5)
        for value in coefficients:
            out.put(value, how.precision)
    if kind in {"fixed", "lpc"}:
        residual(out, rests, len(values), order, how)


def predictor(values: Sequence[int], order: int, precision: int) -> tuple[int, tuple[int, ...]]:
    """Shift and coefficients that fit, by least squares."""
    wave = np.asarray(values, np.float64)
    rows = np.stack([wave[order - 1 - t : len(wave) - 1 - t] for t in range(order)], axis=1)
    ridge = np.eye(order) * (1 + 1e-7 * float((wave**2).sum()))
    found = np.linalg.solve(rows.T @ rows + ridge, rows.T @ wave[order:])
    largest = max(float(np.abs(found).max()), 1e-9)
    shift = int(np.clip(precision - 2 - np.ceil(np.log2(largest)), 0, 15))
    limit = 1 << (precision - 1)
    scaled = np.clip(np.rint(found * 2.0**shift), -limit, limit - 1).astype(int)
    return shift, tuple(int(value) for value in scaled)


def residual(out: Bits, rests: Sequence[int], block: int, order: int, how: Subframe) -> None:
    """Rice codes and escapes, in partitions."""
    wide = 5 if how.rice2 else 4
    escape = (1 << wide) - 1
    parts = 1 << how.partition_order
    assert block % parts == 0
    assert block // parts >= order
    out.put(int(how.rice2), 2)
    out.put(how.partition_order, 4)
    at = 0
    for part in range(parts):
        count = block // parts - (order if part == 0 else 0)
        piece = rests[at : at + count]
        at += count
        widest = max((value.bit_length() + 1 for value in piece), default=0) if any(piece) else 0
        mean = sum(map(abs, piece)) / max(count, 1)
        best = min(max(int(mean).bit_length(), 0), escape - 1)
        if how.escape(part) and widest < 32:
            out.put(escape, wide)
            out.put(widest, 5)
            for value in piece:
                out.put(value, widest)
            continue
        k = best if how.parameter is None else max(how.parameter(part), best - 3)
        out.put(k, wide)
        for value in piece:
            folded = value << 1 if value >= 0 else (-value << 1) - 1
            out.unary(folded >> k)
            out.put(folded, k)


@dataclasses.dataclass
class Frame:
    """How a frame is written."""

    stereo: str = "independent"
    channels: tuple[Subframe, ...] = ()
    """One for all channels, or one each."""


def frame(
    samples: Ints, bits: int, number: int, how: Frame, *, variable: bool = False, rate_code: int = 0, sized: bool = True
) -> bytes:
    """A frame of all of ``samples``, shape ``(frames, channels)``."""
    count, channels = len(samples), int(samples.shape[1])
    columns: list[list[int]] = [[int(x) for x in samples[:, c]] for c in range(channels)]
    layout, widths = channels - 1, [bits] * channels
    if how.stereo != "independent":
        left, right = columns
        side = [a - b for a, b in zip(left, right, strict=True)]
        middle = [a + b >> 1 for a, b in zip(left, right, strict=True)]
        layout, columns = {
            "left-side": (8, [left, side]),
            "side-right": (9, [side, right]),
            "mid-side": (10, [middle, side]),
        }[how.stereo]
        widths[0 if how.stereo == "side-right" else 1] += 1
    size = _SIZES.get(bits, 0) if sized else 0
    head = bytes([0xFF, 0xF8 | variable, 0x70 | rate_code, layout << 4 | size << 1])
    head += coded_number(number) + (count - 1).to_bytes(2, "big")
    head += {12: b"\x2c", 13: b"\xac\x44", 14: b"\x11\x3a"}.get(rate_code, b"")
    out = Bits()
    for index, column in enumerate(columns):
        subframe(out, column, widths[index], how.channels[index % len(how.channels)])
    whole = head + bytes([crc(head, 8, 0x07)]) + out.take()
    return whole + crc(whole, 16, 0x8005).to_bytes(2, "big")


def metadata(blocks: Sequence[tuple[int, bytes]]) -> bytes:
    """The mark and metadata blocks: type and content."""
    out = b"fLaC"
    for index, (kind, data) in enumerate(blocks):
        out += bytes([kind | (0x80 if index == len(blocks) - 1 else 0)]) + len(data).to_bytes(3, "big") + data
    return out


def md5(samples: Ints, bits: int) -> bytes:
    """The checksum of the sound."""
    width = (bits + 7) // 8
    raw = samples.astype("<i4").view(np.uint8).reshape(*samples.shape, 4)[:, :, :width]
    return hashlib.md5(raw.tobytes(), usedforsecurity=False).digest()


def stream_info(
    samples: Ints, bits: int, *, blocks: tuple[int, int], rate: int = 44_100, total: int | None = None
) -> bytes:
    """The content of STREAMINFO; ``blocks`` are the smallest and the largest size."""
    count = len(samples) if total is None else total
    packed: int = rate << 44 | (samples.shape[1] - 1) << 41 | (bits - 1) << 36 | count
    sizes: bytes = blocks[0].to_bytes(2, "big") + blocks[1].to_bytes(2, "big")
    return sizes + bytes(6) + packed.to_bytes(8, "big") + md5(samples, bits)


def stream(samples: Ints, bits: int, how: Frame, *, block: int = 1024, rate: int = 44_100) -> bytes:
    """A stream of fixed block size."""
    frames = [
        frame(samples[at : at + block], bits, index, how) for index, at in enumerate(range(0, len(samples), block))
    ]
    return metadata([(0, stream_info(samples, bits, blocks=(block, block), rate=rate))]) + b"".join(frames)


def shuffled(samples: Ints, bits: int, seed: int) -> bytes:
    """A stream of variable block size in which every choice is drawn."""
    draw = random.Random(seed)
    frames, at = [], 0
    channels = samples.shape[1]
    while at < len(samples):
        count = min(draw.choice([16, 37, 192, 576, 1000, 1024, 2048]), len(samples) - at)
        cut = samples[at : at + count]
        stereo = draw.choice(["independent", "left-side", "side-right", "mid-side"]) if channels == 2 else "independent"
        how = Frame(stereo, tuple(_drawn(draw, cut) for _ in range(channels)))
        frames.append(frame(cut, bits, at, how, variable=True, sized=draw.random() < 0.7))
        at += count
    return metadata([(0, stream_info(samples, bits, blocks=(16, 2048)))]) + b"".join(frames)


def _drawn(draw: random.Random, samples: Ints) -> Subframe:
    count = len(samples)
    order = draw.randint(1, min(32, max(1, count // 3)))
    parts = draw.choice([p for p in range(6) if count % (1 << p) == 0 and count >> p > 32] or [0])
    return Subframe(
        kind=draw.choice(["verbatim", "fixed", "lpc", "lpc", "lpc"]) if count > 40 else "verbatim",
        order=order,
        precision=draw.randint(5, 15),
        partition_order=parts,
        rice2=True if int(np.abs(samples).max()) > 2**20 else draw.random() < 0.5,
        escape=lambda part: draw.random() < 0.2,
    )
