"""Pairs of chains over the same stages: sandboxed in one fused chain, and native twin after native twin."""

from __future__ import annotations

import hashlib
import importlib.metadata
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import filelock
import numpy as np
import numpy.typing as npt
import pytest

from stellatune_plugins.engine.cache import CodeStore
from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.engine.core import CoreModule
from stellatune_plugins.hotpath import FusedChain, HotPathSettings, HotStage, Mapping
from stellatune_plugins.hotpath.layout import stage_channels
from stellatune_plugins.model import (
    AudioSpec,
    Block,
    BufferLayout,
    CoreModuleSpec,
    Frames,
    HotPathRole,
    SampleFormat,
    SampleRate,
)
from stellatune_plugins.native.dsp_twins import TwinDsp, TwinProcessor

ROOT = Path(__file__).resolve().parents[2]
BUNDLED = ROOT / "src" / "stellatune_plugins" / "bundled"
SOURCES = ROOT / "plugins"
BUILDER = ROOT / "tools" / "build_plugins.py"

# Where plugins/include/st_layout.h puts the audio regions, and the names that st_glue_component.h reports.
IN_OFFSET, OUT_OFFSET, MAX_FRAMES = 0x10000, 0x30000, 4096
SECTIONS = 10


class Configured(NamedTuple):
    """A plugin by its short name, with a configuration."""

    name: str
    config_json: str = "{}"


def _source_digest() -> str:
    """What a twin is made from: the sources, the build script and the compiler."""
    digest = hashlib.sha256(importlib.metadata.version("ziglang").encode())
    for path in [BUILDER, *sorted(SOURCES.rglob("*.[ch]"))]:
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@pytest.fixture(scope="session")
def twins_folder() -> Path:
    """The twins of the sources as they are, built once for each state of the sources."""
    folder = ROOT / "build" / f"twins-{_source_digest()}"
    folder.parent.mkdir(exist_ok=True)
    with filelock.FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            partial = folder.with_name(folder.name + ".partial")
            subprocess.run(
                [sys.executable, str(BUILDER), "--only", "twin", "--twins", str(partial)],
                check=True,
                stdout=subprocess.DEVNULL,
                timeout=300,
            )
            partial.rename(folder)
    return folder


@dataclass(frozen=True)
class Lab:
    """Makes pairs and signals."""

    engine: WasmEngine
    modules: dict[str, CoreModule]
    code: CodeStore
    twins: Path

    def configured(self, name: str, config_json: str = "{}") -> Configured:
        """A plugin with a configuration."""
        return Configured(name, config_json)

    def stage(self, stage: Configured, channels: int, mapping: Mapping = Mapping.DIRECT) -> HotStage:
        """A plugin's core module as a stage of a chain of ``channels``."""
        plugin = f"dev.stellatune.{stage.name}"
        path = f"wasm/{stage.name}.hot.wasm"
        if stage.name not in self.modules:
            wasm = (BUNDLED / plugin / path).read_bytes()
            self.modules[stage.name] = CoreModule(self.code.load_module(wasm, path=path, plugin=plugin))
        width = stage_channels(mapping, channels)
        buffer = BufferLayout(IN_OFFSET, OUT_OFFSET, Frames(MAX_FRAMES), width, SampleFormat.F32LE, interleaved=True)
        spec = CoreModuleSpec(
            role=HotPathRole.DSP_TRANSFORM,
            wasm_rel_path=path,
            abi_version=1,
            memory_export="memory",
            init_export="st_hot_init",
            process_export="st_hot_process",
            reset_export="st_hot_reset",
            drop_export="st_hot_drop",
            buffer=buffer,
        )
        module = self.modules[stage.name]
        return HotStage(plugin, stage.name, stage.name, module, spec, channels, stage.config_json, mapping)

    def fused(
        self, stages: Sequence[Configured], rate: int, channels: int, mapping: Mapping = Mapping.DIRECT
    ) -> FusedChain:
        """The stages in one sandboxed chain; to be closed."""
        return FusedChain(self.engine, [self.stage(s, channels, mapping) for s in stages], sample_rate=rate)

    def native(self, stages: Sequence[Configured], rate: int, channels: int) -> NativeChain:
        """The same stages as native code."""
        spec = AudioSpec(SampleRate(rate), channels)
        processors = []
        for stage in stages:
            twin = TwinDsp(f"dev.stellatune.{stage.name}", self.twins / f"libst_{stage.name}.so")
            processor = twin.create(spec)
            processor.apply_config(stage.config_json)
            processors.append(processor)
        return NativeChain(processors)

    def programme(self, frames: int, channels: int, rate: int, seed: int = 0) -> Block:
        """Everything that arithmetic can trip over, one after the other; ``frames`` in all.

        Silence, impulses, noise, a full-scale square wave, a full-scale sine, subnormals alone, values around the
        smallest normal number, noise far beyond full scale, negative zeros, direct current.
        """
        rng = np.random.default_rng(seed)
        edges = np.linspace(0, frames, SECTIONS + 1).astype(int)
        x = np.zeros((frames, channels), np.float32)
        time = np.arange(frames)[:, None] + np.arange(channels)[None, :]

        def part(section: int) -> tuple[slice, tuple[int, int]]:
            where = slice(edges[section], edges[section + 1])
            return where, (edges[section + 1] - edges[section], channels)

        where, shape = part(1)
        x[where] = rng.choice([0.0, 1.0, -1.0], shape, p=[0.9, 0.05, 0.05])
        where, shape = part(2)
        x[where] = rng.uniform(-1, 1, shape)
        where, shape = part(3)
        x[where] = np.where(time[where] // 9 % 2, 1.0, -1.0)
        where, shape = part(4)
        x[where] = np.sin(2 * np.pi * 997.0 / rate * time[where])
        where, shape = part(5)
        x[where] = rng.uniform(-1e-39, 1e-39, shape)
        where, shape = part(6)
        x[where] = rng.uniform(-4 * 2.0**-126, 4 * 2.0**-126, shape)
        where, shape = part(7)
        x[where] = rng.uniform(-8, 8, shape)
        where, shape = part(8)
        x[where] = -0.0
        where, shape = part(9)
        x[where] = 0.7
        return x

    def run(self, chain: FusedChain | NativeChain, x: Block, block: int) -> Block:
        """A stream through a chain in blocks of so many frames; what is left at the end is the last block."""
        return np.concatenate([chain.process(x[at : at + block]).copy() for at in range(0, len(x), block)])


class NativeChain:
    """Twins in series, given the same blocks that a fused chain gives its stages.

    The cut matters at a level of 1e-20: plugins zero state that small at a block's end, to be rid of subnormals.
    """

    _BLOCK = HotPathSettings().block_frames

    def __init__(self, processors: Sequence[TwinProcessor]) -> None:
        self._processors = processors

    def process(self, block: Block) -> Block:
        """A block of any length through all twins."""
        parts = []
        for at in range(0, len(block), self._BLOCK):
            part = block[at : at + self._BLOCK]
            for processor in self._processors:
                part = processor.process(part)
            parts.append(part.copy())
        return np.concatenate(parts)

    def configure(self, k: int, config_json: str) -> None:
        """Give one twin another configuration."""
        self._processors[k].apply_config(config_json)

    def reset(self) -> None:
        """Forget all sound."""
        for processor in self._processors:
            processor.reset()

    def latency(self) -> int:
        """Frames that the output lags the input."""
        return sum(processor.latency() for processor in self._processors)

    def close(self) -> None:
        """Free the twins."""
        for processor in self._processors:
            processor.close()


def difference(a: Block, b: Block) -> str:
    """Empty where two streams are the same to the bit; else where and by how much they differ."""
    assert a.shape == b.shape, f"{a.shape} is not {b.shape}"
    bits: npt.NDArray[np.bool_] = a.view(np.uint32) != b.view(np.uint32)
    if not bits.any():
        return ""
    frame, channel = np.argwhere(bits)[0]
    worst = float(np.abs(a.astype(np.float64) - b).max())
    level = f"{20 * np.log10(worst):.1f} dBFS" if worst else "signs of zero alone"
    return f"{int(bits.sum())} samples differ, first at frame {frame}, channel {channel}; at most {level}"


@pytest.fixture(scope="session")
def differs() -> object:
    """The comparison, bit for bit."""
    return difference


@pytest.fixture(scope="session")
def lab(twins_folder: Path) -> Iterator[Lab]:
    """Pairs and signals, over one engine."""
    with WasmEngine() as engine:
        yield Lab(engine, {}, CodeStore(engine, None), twins_folder)
