"""``describe-hot-path``, which worlds dsp and output-sink have in common."""

from __future__ import annotations

from typing import Any, Final

from stellatune_plugins.engine.values import Some
from stellatune_plugins.errors import GuestContract
from stellatune_plugins.executor.results import optional
from stellatune_plugins.model import AudioSpec, BufferLayout, CoreModuleSpec, Frames, HotPathRole, SampleFormat

MAX_NAME: Final = 1_024
"""Characters of an export's name or a path."""


def spec_record(spec: AudioSpec) -> dict[str, int]:
    """WIT ``common.audio-spec``."""
    return {"sample-rate": spec.sample_rate, "channels": spec.channels}


def core_module(value: Any) -> CoreModuleSpec | None:
    """A guest's ``option<core-module-spec>``.

    Raises:
        GuestContract: a name in it is empty or endless.
    """
    if not isinstance(value, Some):
        return None
    record = value.value
    buffer = record["buffer"]
    names = [record[name] for name in ("wasm-rel-path", "memory-export", "init-export", "process-export")]
    path, memory, init, process = (_name(name) for name in names)
    reset, drop = (_optional_name(record[name]) for name in ("reset-export", "drop-export"))
    return CoreModuleSpec(
        role=HotPathRole(record["role"]),
        wasm_rel_path=path,
        abi_version=record["abi-version"],
        memory_export=memory,
        init_export=init,
        process_export=process,
        reset_export=reset,
        drop_export=drop,
        buffer=BufferLayout(
            in_offset=buffer["in-offset"],
            out_offset=optional(buffer["out-offset"]),
            max_frames=Frames(buffer["max-frames"]),
            channels=buffer["channels"],
            sample_format=SampleFormat(buffer["sample-format"]),
            interleaved=buffer["interleaved"],
        ),
    )


def _name(text: str) -> str:
    if not 1 <= len(text) <= MAX_NAME:
        raise GuestContract(f"describe-hot-path gave a name of {len(text)} characters")
    return text


def _optional_name(value: Any) -> str | None:
    text = optional(value)
    return None if text is None else _name(text)
