"""The native twins of the reference plugins, built from their sources and called through ctypes."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

ROOT = Path(__file__).resolve().parents[2]
Samples = npt.NDArray[np.float32]


class Twin:
    """One stream of one plugin, native."""

    def __init__(self, library: Path, rate: int, channels: int, config: dict[str, Any] | None) -> None:
        self.lib = ctypes.CDLL(str(library))
        handle, u32 = ctypes.c_void_p, ctypes.c_uint32
        self.lib.st_twin_create.restype = handle
        self.lib.st_twin_create.argtypes = [u32, u32, u32]
        self.lib.st_twin_process.argtypes = [handle, handle, handle, u32]
        self.lib.st_twin_config.argtypes = [handle, ctypes.c_char_p, u32]
        for name in ("export", "error"):
            getattr(self.lib, f"st_twin_{name}").argtypes = [handle, ctypes.c_char_p, u32]
        for name in ("reset", "latency", "tail", "destroy"):
            getattr(self.lib, f"st_twin_{name}").argtypes = [handle]
        self.lib.st_twin_math.restype = ctypes.c_double
        self.lib.st_twin_math.argtypes = [u32, ctypes.c_double]
        self.lib.st_twin_id.restype = ctypes.c_char_p
        self.lib.st_twin_supported_layouts.restype = u32
        self.context: int | None = self.lib.st_twin_create(rate, channels, 4096)
        if config is not None:
            assert self.config(config), self.error()

    def config(self, config: dict[str, Any] | str) -> bool:
        """Whether the configuration was taken."""
        text = (config if isinstance(config, str) else json.dumps(config)).encode()
        return bool(self.lib.st_twin_config(self.context, text, len(text)) == 0)

    def _text(self, name: str) -> str:
        out = ctypes.create_string_buffer(4096)
        length: int = getattr(self.lib, f"st_twin_{name}")(self.context, out, 4096)
        return out.raw[:length].decode()

    def error(self) -> str:
        """The message of the last refusal."""
        return self._text("error")

    def state(self) -> dict[str, Any]:
        """The effective configuration."""
        data: dict[str, Any] = json.loads(self._text("export"))
        return data

    def process(self, samples: npt.NDArray[Any], block: int = 512) -> Samples:
        """A whole signal, frames by channels, in blocks."""
        source = np.ascontiguousarray(samples, np.float32)
        out = np.empty_like(source)
        for at in range(0, len(source), block):
            given, taken = source[at : at + block], out[at : at + block]
            assert self.lib.st_twin_process(self.context, given.ctypes.data, taken.ctypes.data, len(given)) == 0
        return out

    def reset(self) -> None:
        """Forget all sound."""
        self.lib.st_twin_reset(self.context)

    @property
    def latency(self) -> int:
        """Frames from input to output."""
        return int(self.lib.st_twin_latency(self.context))

    @property
    def tail(self) -> int:
        """Frames that come after the input has ended."""
        return int(self.lib.st_twin_tail(self.context))

    def math(self, function: int, x: float) -> float:
        """One function of the plugins' own math header."""
        return float(self.lib.st_twin_math(function, x))


MakeTwin = Callable[..., Twin]


@pytest.fixture(scope="session")
def twin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The twins, freshly built."""
    folder = tmp_path_factory.mktemp("twins")
    command = [sys.executable, "tools/build_plugins.py", "--only", "twin", "--twins", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture
def twin(twin_folder: Path) -> Iterator[MakeTwin]:
    """Make a twin: name, rate, channels, configuration."""
    made: list[Twin] = []

    def make(name: str, rate: int = 44100, channels: int = 2, config: dict[str, Any] | None = None) -> Twin:
        one = Twin(twin_folder / f"libst_{name}.so", rate, channels, config)
        made.append(one)
        return one

    yield make
    for one in made:
        one.lib.st_twin_destroy(one.context)
