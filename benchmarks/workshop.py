"""What subjects work with: one engine, the bundled plugins sandboxed and as native code, signals, a folder."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stellatune_plugins.engine.assemble import compile_trusted
from stellatune_plugins.engine.cache import CodeStore
from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.engine.core import CoreModule
from stellatune_plugins.engine.store import GuestStore
from stellatune_plugins.hotpath import FusedChain, HotPathSettings, HotStage
from stellatune_plugins.hotpath.module import HotInstance, check_spec
from stellatune_plugins.model import Block, BufferLayout, CoreModuleSpec, Frames, HotPathRole, SampleFormat

ROOT = Path(__file__).resolve().parent.parent
BUNDLED = ROOT / "src" / "stellatune_plugins" / "bundled"
BUILD = ROOT / "build"
OUT = BUILD / "bench"
RATE = 44100
_PAGE = 4096
CHANNELS = 2
IN_OFFSET, OUT_OFFSET, MAX_FRAMES = 0x10000, 0x30000, 4096  # plugins/include/st_layout.h

TEN_BANDS = [(31.25 * 2**k, (4.0, -3.0, 2.5, -5.0, 3.5)[k % 5], 1.41) for k in range(10)]
"""Frequency, gain in decibels, quality: an octave equaliser with every band at work."""
PLUGINS = {
    "gain": '{"gain_db": -3.5, "balance": 0.1}',
    "parametric-eq": json.dumps(
        {"bands": [{"type": "peak", "freq_hz": f, "gain_db": gain, "q": q} for f, gain, q in TEN_BANDS]}
    ),
    "limiter": '{"input_db": 6}',
    "reverb": "{}",
    "crossfeed": "{}",
}
"""Each shipped DSP with a configuration in which it works."""

# The least that a stage can do: say that it processed its block, in place.
_NOTHING = """(module (memory (export "memory") 2)
  (func (export "init") (param i32 i32) (result i32) (i32.const 0))
  (func (export "process") (param i32 i32 i32 i32) (result i32)
    (i32.store (local.get 2) (local.get 1)) (i32.const 0)))"""


@dataclass
class Workshop:
    """Everything that is opened is closed by :meth:`close`."""

    quick: bool
    engine: WasmEngine = field(default_factory=WasmEngine)

    def __post_init__(self) -> None:
        self._open = contextlib.ExitStack()
        self._open.callback(self.engine.close)
        self._code = CodeStore(self.engine, None)
        self._modules: dict[str, CoreModule] = {}
        OUT.mkdir(parents=True, exist_ok=True)

    def seconds(self, usual: float) -> float:
        """How long a case may take."""
        return usual / 6 if self.quick else usual

    def close(self) -> None:
        """Put everything away."""
        self._open.close()

    def module(self, name: str) -> CoreModule:
        """A bundled plugin's core module."""
        if name not in self._modules:
            path = BUNDLED / f"dev.stellatune.{name}" / "wasm" / f"{name}.hot.wasm"
            self._modules[name] = CoreModule(self._code.load_module(path.read_bytes(), path=path.name))
        return self._modules[name]

    def stage(self, name: str, *, max_frames: int = MAX_FRAMES) -> HotStage:
        """A bundled plugin as a stereo stage."""
        buffer = BufferLayout(IN_OFFSET, OUT_OFFSET, Frames(max_frames), CHANNELS, SampleFormat.F32LE, interleaved=True)
        spec = CoreModuleSpec(
            role=HotPathRole.DSP_TRANSFORM,
            wasm_rel_path=f"wasm/{name}.hot.wasm",
            abi_version=1,
            memory_export="memory",
            init_export="st_hot_init",
            process_export="st_hot_process",
            reset_export="st_hot_reset",
            drop_export="st_hot_drop",
            buffer=buffer,
        )
        return HotStage(
            f"dev.stellatune.{name}", name, name, self.module(name), spec, CHANNELS, PLUGINS.get(name, "{}")
        )

    def nothing(self) -> HotStage:
        """A stage that does nothing, in place."""
        buffer = BufferLayout(0, None, Frames(MAX_FRAMES), CHANNELS, SampleFormat.F32LE, interleaved=True)
        spec = CoreModuleSpec(HotPathRole.DSP_TRANSFORM, "x.wasm", 1, "memory", "init", "process", None, None, buffer)
        return HotStage("bench.nothing", "nothing", "nothing", compile_trusted(self.engine, _NOTHING), spec, CHANNELS)

    def chain(self, stages: list[HotStage], *, block: int = 1024) -> FusedChain:
        """A fused chain that cuts its blocks to ``block`` frames."""
        settings = HotPathSettings(block_frames=block)
        return self._open.enter_context(FusedChain(self.engine, stages, sample_rate=RATE, settings=settings))

    def instances(self, stages: list[HotStage]) -> list[HotInstance]:
        """Initialised instances in a Store of their own, without a chain."""
        store = self._open.enter_context(GuestStore(self.engine, label="bench"))
        settings = HotPathSettings()
        made = []
        for stage in stages:
            regions = check_spec(stage.spec, stage.module, channels=CHANNELS, settings=settings)
            instance = HotInstance(store, stage.module, stage.spec, regions, sample_rate=RATE, settings=settings)
            if instance.takes_config:
                instance.configure(stage.config_json)
            made.append(instance)
        return made

    def noise(self, frames: int) -> Block:
        """Quiet white noise, stereo."""
        return np.random.default_rng(frames).uniform(-0.25, 0.25, (frames, CHANNELS)).astype(np.float32)

    def twin(self, name: str) -> Twin:
        """A bundled plugin as native code."""
        return self._open.enter_context(Twin.make(name))


class Twin:
    """A native twin, called with as little Python around it as can be: the baseline gets every advantage."""

    def __init__(self, library: Any, handle: int) -> None:
        self._library, self.handle = library, handle
        self.process = library.st_twin_process

    @classmethod
    @contextlib.contextmanager
    def make(cls, name: str) -> Iterator[Twin]:
        """Load and configure it; free it at the end."""
        library = ctypes.CDLL(str(twins() / f"libst_{name}.so"))
        library.st_twin_create.restype = ctypes.c_void_p
        library.st_twin_create.argtypes = [ctypes.c_uint32] * 3
        library.st_twin_config.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32]
        library.st_twin_process.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_uint32]
        library.st_twin_destroy.argtypes = [ctypes.c_void_p]
        library.st_twin_destroy.restype = None
        handle = library.st_twin_create(RATE, CHANNELS, MAX_FRAMES)
        config = PLUGINS[name].encode()
        assert handle
        assert library.st_twin_config(handle, config, len(config)) == 0
        yield cls(library, handle)
        library.st_twin_destroy(handle)


def twins() -> Path:
    """The folder of the native twins of the sources as they are; built where it is missing."""
    builder = ROOT / "tools" / "build_plugins.py"
    digest = hashlib.sha256(importlib.metadata.version("ziglang").encode())
    for path in [builder, *sorted((ROOT / "plugins").rglob("*.[ch]"))]:
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    folder = BUILD / f"twins-{digest.hexdigest()[:16]}"
    if not folder.is_dir():
        partial = folder.with_name(folder.name + ".partial")
        command = [sys.executable, str(builder), "--only", "twin", "--twins", str(partial)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        partial.rename(folder)
    return folder


def paged(block: Block) -> Block:
    """A copy that begins at a page, as the audio regions in a sandbox do.

    Where a block lies is worth a factor of ten to a gain: loads wait for stores whose last twelve address bits match.
    """
    room = np.empty(block.nbytes + _PAGE, np.uint8)
    start = -pointer(room) % _PAGE
    copy = room[start : start + block.nbytes].view(np.float32).reshape(block.shape)
    copy[...] = block
    return copy


def pointer(array: npt.NDArray[Any]) -> int:
    """An array's address."""
    return int(array.ctypes.data)
