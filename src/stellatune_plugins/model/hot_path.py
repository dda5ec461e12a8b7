"""What a component says about its core module: WIT interface ``hot-path``."""

from __future__ import annotations

import enum

import msgspec

from stellatune_plugins.model.ids import Frames


class HotPathRole(enum.StrEnum):
    """WIT ``hot-path.role``."""

    DSP_TRANSFORM = "dsp-transform"
    OUTPUT_SINK = "output-sink"


class SampleFormat(enum.StrEnum):
    """WIT ``hot-path.sample-format``."""

    F32LE = "f32le"
    I16LE = "i16le"
    I32LE = "i32le"

    @property
    def sample_bytes(self) -> int:
        """Bytes a sample."""
        return 2 if self is SampleFormat.I16LE else 4


class BufferLayout(msgspec.Struct, frozen=True):
    """WIT ``hot-path.buffer-layout``; offsets in bytes."""

    in_offset: int
    out_offset: int | None
    max_frames: Frames
    channels: int
    sample_format: SampleFormat
    interleaved: bool


class CoreModuleSpec(msgspec.Struct, frozen=True):
    """WIT ``hot-path.core-module-spec``."""

    role: HotPathRole
    wasm_rel_path: str
    abi_version: int
    memory_export: str
    init_export: str
    process_export: str
    reset_export: str | None
    drop_export: str | None
    buffer: BufferLayout
