"""What makes two pieces of compiled code the same: everything that the machine code depends on."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import inspect
import platform
from pathlib import Path
from typing import Final

import msgspec

from stellatune_plugins.engine import config
from stellatune_plugins.engine.config import EngineSettings
from stellatune_plugins.engine.wasm_kind import CodeKind

FORMAT: Final = 1
"""Version of the cache's own file layout; raise it with every change."""


class Target(msgspec.Struct, frozen=True):
    """The compiler and the processor that code is made for."""

    wasmtime: str
    machine: str
    cpu: tuple[str, ...]
    """Feature flags of the processor, sorted."""


@functools.cache
def this_target() -> Target:
    """The compiler and the processor at hand."""
    return Target(importlib.metadata.version("wasmtime"), platform.machine(), _cpu_features())


def code_key(wasm: bytes, kind: CodeKind, settings: EngineSettings, target: Target) -> bytes:
    """32 bytes that name the compiled form of ``wasm``."""
    parts = {
        "format": FORMAT,
        "kind": str(kind),
        "wasm": hashlib.sha256(wasm).hexdigest(),
        "settings": settings,
        "config": _fixed_config(),
        "target": target,
    }
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).digest()


@functools.cache
def _fixed_config() -> str:
    """A digest of the switches that are no settings: they stand in the source of ``make_config`` alone."""
    return hashlib.sha256(inspect.getsource(config).encode()).hexdigest()


def _cpu_features() -> tuple[str, ...]:
    # wasmtime checks the features that code needs once more when it loads it, so a system without this file only
    # loses the second name, not the protection.
    try:
        with Path("/proc/cpuinfo").open(encoding="ascii", errors="replace") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                if name.strip() in {"flags", "Features"}:
                    return tuple(sorted(set(value.split())))
    except OSError:
        pass
    return ()
