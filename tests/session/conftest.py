"""Chains with known behaviour, real files, and the native runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from stellatune_plugins.model import AudioSpec, Block, Frames, RuntimeKind, StagePath, StageReport
from stellatune_plugins.session import RenderJob, RenderOptions, RenderReport, render
from stellatune_plugins.session.native_runtime import NativeRenderRuntime, make
from stellatune_plugins.session.stages import IdentityChain


class Delay(IdentityChain):
    """Delays by some frames and multiplies: the output lags the input, as a limiter's does."""

    def __init__(self, spec: AudioSpec, frames: int = 0, gain: float = 1.0, tail: int | None = 0) -> None:
        super().__init__(spec)
        self._gain = np.float32(gain)
        self._line = np.zeros((frames, spec.channels), np.float32)
        self._tail = tail
        self.closed = 0
        self.blocks: list[int] = []

    def latency(self) -> Frames:
        return Frames(len(self._line))

    def tail(self) -> Frames | None:
        return None if self._tail is None else Frames(self._tail)

    def process(self, block: Block) -> Block:
        self.blocks.append(len(block))
        joined = np.concatenate([self._line, block * self._gain])
        self._line = joined[len(block) :]
        self._out = joined[: len(block)]
        return self._out

    def reports(self) -> tuple[StageReport, ...]:
        return (
            StageReport(
                index=0,
                plugin="dev.example.delay",
                type_id="delay",
                runtime=RuntimeKind.NATIVE,
                path=StagePath.NATIVE,
                seconds=0.0,
                frames=sum(self.blocks),
                latency=self.latency(),
                tail=self.tail(),
                mapping="direct",
            ),
        )

    def close(self) -> None:
        self.closed += 1


class Decay(IdentityChain):
    """A one-pole low-pass: its tail falls for ever, in powers of ``pole``."""

    def __init__(self, spec: AudioSpec, pole: float = 0.999) -> None:
        super().__init__(spec)
        self._pole = pole
        self._state = np.zeros(spec.channels)

    def tail(self) -> Frames | None:
        return None

    def process(self, block: Block) -> Block:
        out = np.empty_like(block)
        state = self._state
        for index, frame in enumerate(block):
            state = state * self._pole + frame
            out[index] = state
        self._state = state
        return out


def music(frames: int, channels: int = 2, seed: int = 1) -> Block:
    """Noise with a little colour, a quarter of full scale."""
    rng = np.random.default_rng(seed)
    noise = np.cumsum(rng.standard_normal((frames + 8, channels)), axis=0)
    smooth = noise[8:] - noise[:-8]
    return np.ascontiguousarray(0.25 * smooth / np.abs(smooth).max(), np.float32)


@pytest.fixture(scope="session")
def runtime() -> NativeRenderRuntime:
    """Native decoders and the file sink."""
    return make()


@pytest.fixture
def wav(tmp_path: Path) -> Callable[..., Path]:
    """Writes a WAV file: float samples unless told otherwise."""

    def write(signal: Block, rate: int = 48000, name: str = "in.wav", **how: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, signal, rate, **({"subtype": "FLOAT"} | how))
        return path

    return write


class Studio:
    """Renders with the native runtime, and reads what came out."""

    music = staticmethod(music)
    Delay = Delay
    Decay = Decay

    def __init__(self, folder: Path, runtime: NativeRenderRuntime) -> None:
        self.folder = folder
        self.runtime = runtime

    def render(self, source: Path, name: str = "out.wav", chain: Any = IdentityChain, **how: Any) -> RenderReport:
        """Render to a file of this name; options and the parameters of ``render`` as keywords."""
        passed = {key: how.pop(key) for key in ("on_progress", "cancelled", "tap", "decoder", "sink") if key in how}
        options = RenderOptions(**({"bits": "32f"} if name.endswith(".wav") else {}) | how)
        return render(
            RenderJob(str(source), str(self.folder / name)),
            options,
            **{"decoder": self.runtime.decoder, "sink": self.runtime.sink, "chain_factory": chain} | passed,
        )

    def read(self, name: str = "out.wav") -> Block:
        """The samples of a file."""
        samples: Block = soundfile.read(self.folder / name, dtype="float32", always_2d=True)[0]
        return samples


@pytest.fixture
def studio(tmp_path: Path, runtime: NativeRenderRuntime) -> Studio:
    """Where renders happen."""
    return Studio(tmp_path, runtime)
