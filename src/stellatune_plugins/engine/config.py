"""One engine: compiler settings, guest features, and the epoch ticker."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import msgspec
import wasmtime

from stellatune_plugins.engine.epoch import EpochTicker
from stellatune_plugins.errors import StoreMisuse


class EngineSettings(msgspec.Struct, frozen=True):
    """What shapes compiled code. Two engines with equal settings accept each other's code."""

    opt_level: str = "speed"
    max_wasm_stack: int = 512 * 1024
    """Bytes of stack that guest code may use; below it wasmtime traps."""
    parallel_compilation: bool = True


def make_config(settings: EngineSettings) -> wasmtime.Config:
    """The wasmtime configuration: what DSP needs (SIMD, bulk memory, multi-memory), nothing experimental.

    Memories are reserved whole and never move, so a base address stays valid for the life of its Store. Relaxed SIMD
    is off: it would cost bit-exactness between machines.
    """
    config = wasmtime.Config()
    config.epoch_interruption = True
    config.cranelift_opt_level = settings.opt_level
    config.max_wasm_stack = settings.max_wasm_stack
    config.parallel_compilation = settings.parallel_compilation
    config.memory_may_move = False
    config.memory_reservation = 1 << 32
    config.wasm_component_model = True
    config.wasm_simd = True
    config.wasm_bulk_memory = True
    config.wasm_multi_memory = True
    config.wasm_multi_value = True
    config.wasm_reference_types = True
    config.wasm_relaxed_simd = False
    config.wasm_threads = False
    config.wasm_tail_call = False
    config.wasm_memory64 = False
    config.wasm_function_references = False
    config.wasm_gc = False
    config.wasm_exceptions = False
    config.wasm_wide_arithmetic = False
    config.wasm_custom_page_sizes = False
    config.wasm_stack_switching = False
    return config


class WasmEngine:
    """A wasmtime engine and the ticker that drives its epochs. One serves any number of Stores and threads."""

    def __init__(self, settings: EngineSettings | None = None, *, tick_seconds: float = 0.001) -> None:
        self.settings = settings or EngineSettings()
        self._raw: wasmtime.Engine | None = wasmtime.Engine(make_config(self.settings))
        self.ticker = EpochTicker(self._raw, tick_seconds)

    @property
    def raw(self) -> wasmtime.Engine:
        """The wasmtime object.

        Raises:
            StoreMisuse: the engine was closed.
        """
        if self._raw is None:
            raise StoreMisuse("the engine was closed")
        return self._raw

    @property
    def tick_seconds(self) -> float:
        """How far apart epochs are meant to be."""
        return self.ticker.seconds

    def ticks(self, seconds: float) -> int:
        """The epochs that ``seconds`` take, rounded up, and one for the epoch that has begun."""
        return int(seconds / self.ticker.seconds) + 2

    def store_opened(self) -> None:
        """Count a Store; epochs tick while there is one.

        Raises:
            StoreMisuse: the engine was closed.
        """
        self.ticker.acquire()

    def store_closed(self) -> None:
        """Count a Store that is gone."""
        self.ticker.release()

    def close(self) -> None:
        """Let go of the engine and refuse new Stores. May be called again.

        Stores that are still open keep it alive and their deadlines in force: the ticker ends with the last of them.
        """
        self._raw = None
        self.ticker.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
