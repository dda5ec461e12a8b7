"""A FLAC track through the wasm decoder, as the host runs it, against the same C natively, PyAV and libsndfile.

All four get the file's bytes from memory and give all samples as interleaved 32-bit floats, in chunks of the same
size. The wasm side is the whole way: messages, the guest's call, its calls back for bytes, samples out through the
lanes, and the array that a session hands on. The native side is called through ctypes and does the checksums that the
plugin does, the MD5 of all samples included; PyAV and libsndfile check none of it but the frames' own.

Time is the thread's on the processor: a track takes many time slices, and all of the work is on the calling thread.

A second row leaves the transport away: the same C compiled to a core module, with bytes and samples in its memory.
"""

from __future__ import annotations

import ctypes
import importlib.util
import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import soundfile
import wasmtime

from benchmarks.command import FLAC_SECONDS, music
from benchmarks.race import Call, Race, race
from benchmarks.results import Row
from benchmarks.workshop import BUNDLED, ROOT, Workshop, twins
from stellatune_plugins.contract import ByteStream
from stellatune_plugins.engine.cache import CodeStore
from stellatune_plugins.executor import Activated, Environment, LocalExecutor, WasmDecoder, activation_of, ask
from stellatune_plugins.model import Frames
from stellatune_plugins.native.av_decoder import AvDecoder
from stellatune_plugins.observe import EventBus
from stellatune_plugins.package import InstallStore

NAME = "decode"
TITLE = "Decoding a FLAC track"
WASM, NATIVE, CORE = "wasm plugin", "the same C, native", "wasm, without the host"
PYAV, SNDFILE, OURS = "PyAV, frames as they come", "libsndfile", "native decoder (PyAV)"
CHUNK = 32_768
"""Frames a read."""
_MOST_RATIO = 1.5
_REAL_TIME = 100


class _Bytes:
    """A file in memory, as a stream of the host."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)
        self._size = len(data)

    def read(self, max_bytes: int) -> bytes:
        return self._file.read(max_bytes)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def size(self) -> int:
        return self._size

    def close(self) -> None:
        self._file.close()


def measure(shop: Workshop) -> Iterator[Row]:
    """16 and 24 bits; the way and the code alone."""
    sound, rate = soundfile.read(music(1), dtype="float32", always_2d=True)
    with _executor(shop) as decoder:
        for bits in (16, 24):
            calls = _calls(shop, decoder, _encoded(sound, rate, bits), len(sound))
            rounds = 15 if shop.quick else 40
            result = race(calls, shop.seconds(40), least_rounds=rounds, clock=time.thread_time)
            yield from _rows(result, f"{FLAC_SECONDS} s, 44.1 kHz stereo, {bits} bits", wanted=bits == 16)


def _calls(shop: Workshop, decoder: WasmDecoder, data: bytes, frames: int) -> dict[str, Call]:
    library = _library()
    return {
        WASM: lambda: _drain(decoder, data, frames),
        NATIVE: lambda: _native(library, data, frames),
        CORE: _core(shop, data, frames),
        PYAV: lambda: _pyav(data, frames),
        SNDFILE: lambda: _sndfile(data, frames),
        OURS: lambda: _drain(AvDecoder(), data, frames),
    }


def _rows(result: Race, case: str, *, wanted: bool) -> Iterator[Row]:
    def fast(name: str) -> str:
        return f"{FLAC_SECONDS / result.spread(name).median:.0f} and {{}} times real time"

    def against(ours: str, baseline: str) -> str:
        return fast(ours).format(f"{FLAC_SECONDS / result.spread(baseline).median:.0f}")

    limit = _MOST_RATIO if wanted else None
    yield result.row(NAME, case, WASM, NATIVE, most_ratio=limit, note=against(WASM, NATIVE))
    if wanted:
        real_time = FLAC_SECONDS / _REAL_TIME
        yield result.row(NAME, f"{case}, real time", WASM, NATIVE, most_seconds=real_time)
    yield result.row(NAME, case, CORE, NATIVE, note=against(CORE, NATIVE))
    for baseline in (PYAV, SNDFILE, OURS):
        yield result.row(NAME, case, WASM, baseline, note=against(WASM, baseline))


def _encoded(sound: Any, rate: int, bits: int) -> bytes:
    out = io.BytesIO()
    with soundfile.SoundFile(out, "w", rate, sound.shape[1], f"PCM_{bits}", format="FLAC") as file:
        file.write(sound)
    return out.getvalue()


class _executor:  # noqa: N801 - a context manager, used like a function
    """The bundled decoder in an executor of its own."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop

    def __enter__(self) -> WasmDecoder:
        self._folder = tempfile.TemporaryDirectory()
        installed = InstallStore(Path(self._folder.name), EventBus()).install(BUNDLED / "dev.stellatune.flac")
        engine = self._shop.engine
        self._executor = LocalExecutor(CodeStore(engine, None), Environment(engine=engine))
        ask(self._executor, activation_of(installed), Activated)
        key, _ = next(installed.manifest.ability_keys())
        return WasmDecoder(self._executor, key)

    def __exit__(self, *_: object) -> None:
        self._executor.close()
        self._folder.cleanup()


def _drain(decoder: WasmDecoder | AvDecoder, data: bytes, frames: int) -> None:
    session = decoder.open(cast("ByteStream", _Bytes(data)), "flac")
    got, eof = 0, False
    while not eof:
        chunk = session.read_pcm(Frames(CHUNK))
        got, eof = got + len(chunk.block), chunk.eof
    session.close()
    assert got == frames


def _library() -> Any:
    library = ctypes.CDLL(str(twins() / "libst_flac.so"))
    library.st_twin_open.restype = ctypes.c_void_p
    library.st_twin_open.argtypes = [
        ctypes.c_char_p,
        ctypes.c_uint64,
        ctypes.c_uint32,
        ctypes.c_void_p,
        ctypes.c_void_p,
    ]
    library.st_twin_read.restype = ctypes.c_int64
    library.st_twin_read.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p]
    library.st_twin_close.argtypes = [ctypes.c_void_p]
    return library


def _native(library: Any, data: bytes, frames: int) -> None:
    why, length, eof = ctypes.create_string_buffer(256), ctypes.c_uint32(256), ctypes.c_uint8(0)
    handle = library.st_twin_open(data, len(data), 0, why, ctypes.byref(length))
    assert handle, why.raw
    got = 0
    while not eof.value:
        block = np.empty((CHUNK, 2), np.float32)
        count = library.st_twin_read(handle, block.ctypes.data, CHUNK, ctypes.byref(eof))
        assert count >= 0
        got += count
    library.st_twin_close(handle)
    assert got == frames


def _core(shop: Workshop, data: bytes, frames: int) -> Call:
    store = wasmtime.Store(shop.engine.raw)
    store.set_epoch_deadline(1 << 40)
    exports = wasmtime.Instance(store, wasmtime.Module(shop.engine.raw, _twin_module()), []).exports(store)
    memory = cast("wasmtime.Memory", exports["memory"])

    def function(name: str) -> Callable[..., int]:
        found = cast("wasmtime.Func", exports[name])
        return lambda *args: cast("int", found(store, *args))

    room = function("bench_room")(len(data) + CHUNK * 8 + 512)
    memory.write(store, data, room)
    out, extra = room + len(data) + 256, room + len(data)
    read, open_, close = function("st_twin_read"), function("st_twin_open"), function("st_twin_close")

    def run() -> None:
        handle = open_(room, len(data), 0, extra + 16, extra)
        got, eof = 0, 0
        while not eof:
            count = read(handle, out, CHUNK, extra)
            assert count >= 0
            got += count
            eof = memory.read(store, extra, extra + 1)[0]
        close(handle)
        assert got == frames

    return run


# One decoder at a time, in memory that is taken once.
_SHELL = """#define ST_BUILD_TWIN
#include "flac/flac.c"
static st_twin the_twin;
void *calloc(usize n, usize size) { return (void)n, (void)size, &the_twin; }
void free(void *p) { (void)p; }
ST_EXPORT u32 bench_room(u32 n) { return (u32)__builtin_wasm_memory_grow(0, (n + 65535) >> 16) << 16; }
"""


def _build_tool() -> Any:
    """The script that knows the flags that the shipped component was built with."""
    spec = importlib.util.spec_from_file_location("build_plugins", ROOT / "tools" / "build_plugins.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def _twin_module() -> bytes:
    tool = _build_tool()
    with tempfile.TemporaryDirectory() as name:
        source, compiled, linked = (Path(name) / part for part in ("shell.c", "shell.o", "shell.wasm"))
        source.write_text(_SHELL)
        zig = [sys.executable, "-m", "ziglang"]
        flags = [*tool.COMMON, *tool.WASM, "-I."]
        subprocess.run([*zig, "cc", *flags, "-c", str(source), "-o", str(compiled)], cwd=ROOT / "plugins", check=True)
        exports = [f"--export={name}" for name in ("bench_room", "st_twin_open", "st_twin_read", "st_twin_close")]
        subprocess.run([*zig, "wasm-ld", *tool.LINK, *exports, str(compiled), "-o", str(linked)], check=True)
        return linked.read_bytes()


def _pyav(data: bytes, frames: int) -> None:
    got = 0
    with av.open(io.BytesIO(data), "r") as container:
        # Packed floats, as all the others give them.
        resampler = av.AudioResampler(format="flt")
        for frame in container.decode(audio=0):
            for packed in resampler.resample(frame):
                got += packed.to_ndarray().size // 2
    assert got == frames


def _sndfile(data: bytes, frames: int) -> None:
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        got = sum(len(block) for block in file.blocks(CHUNK, dtype="float32", always_2d=True))
    assert got == frames
