"""The hot-path core ABI, version 1: numbers and structs, in one place.

A core wasm32 module exchanges blocks with the host through its own linear memory. Everything is little-endian;
pointers, lengths and counts are u32; a return code of 0 is success.
"""

from __future__ import annotations

import enum
import struct
from typing import Final

import msgspec

from stellatune_plugins.model import HotPathRole, SampleFormat

ABI_VERSION: Final = 1

INIT_ARGS: Final = struct.Struct("<IIIHHIIIIIII")
"""abi_version, role, sample_rate, channels, sample_format, max_frames, in_offset, out_offset, buffer_bytes, flags,
reserved0, reserved1: 44 bytes."""

ROLE_CODES: Final = {HotPathRole.DSP_TRANSFORM: 1, HotPathRole.OUTPUT_SINK: 2}
SAMPLE_FORMAT_CODES: Final = {SampleFormat.F32LE: 1, SampleFormat.I16LE: 2, SampleFormat.I32LE: 3}

CONFIG_EXPORT: Final = "st_hot_config"
"""Optional: ``(ctx, ptr, len) -> code``, the effective configuration as UTF-8 JSON."""
LATENCY_EXPORT: Final = "st_hot_latency"
"""Optional: ``(ctx) -> frames``."""
TAIL_EXPORT: Final = "st_hot_tail"
"""Optional: ``(ctx) -> frames``, -1 for a tail without end."""

Signature = tuple[tuple[str, ...], tuple[str, ...]]
"""Parameters and results, each type by its wasm name."""

I32: Final = "i32"
INIT_SIGNATURE: Final[Signature] = ((I32, I32), (I32,))
PROCESS_SIGNATURE: Final[Signature] = ((I32, I32, I32, I32), (I32,))
RESET_SIGNATURE: Final[Signature] = ((I32, I32), (I32,))
DROP_SIGNATURE: Final[Signature] = ((I32,), ())
CONFIG_SIGNATURE: Final[Signature] = ((I32, I32, I32), (I32,))
LATENCY_SIGNATURE: Final[Signature] = ((I32,), (I32,))
TAIL_SIGNATURE: Final[Signature] = ((I32,), (I32,))

TOLERATED_IMPORT_MODULE: Final = "wasi_snapshot_preview1"
"""Language runtimes pull it in; every function of it answers with a refusal."""


class ProcessFlag(enum.IntFlag):
    """What ``process`` reports beside its frames."""

    EOF = 1
    DRAINED = 2
    NEED_RESET = 4
    SOFT_ERROR = 8


class ErrorCode(enum.IntEnum):
    """What a non-zero return code means."""

    INVALID_ARG = 1
    UNSUPPORTED = 2
    IO = 3
    INTERNAL = 4
    WOULD_BLOCK = 5
    NOT_READY = 6

    @classmethod
    def describe(cls, code: int) -> str:
        """The code's name, or the number where the ABI has none for it."""
        try:
            return cls(code).name.lower().replace("_", "-")
        except ValueError:
            return f"unknown code {code}"


class InitArgs(msgspec.Struct, frozen=True):
    """The argument block of ``init``."""

    role: HotPathRole
    sample_rate: int
    channels: int
    sample_format: SampleFormat
    max_frames: int
    in_offset: int
    out_offset: int
    buffer_bytes: int
    flags: int = 0
    abi_version: int = ABI_VERSION

    def pack(self) -> bytes:
        """The 44 bytes as the guest reads them."""
        return INIT_ARGS.pack(
            self.abi_version,
            ROLE_CODES[self.role],
            self.sample_rate,
            self.channels,
            SAMPLE_FORMAT_CODES[self.sample_format],
            self.max_frames,
            self.in_offset,
            self.out_offset,
            self.buffer_bytes,
            self.flags,
            0,
            0,
        )
