"""Lanes by the thousand: memory stays flat; and at full size, a guest of a language runtime with everything in it."""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from bulk_guests import WORLDS, BulkGuests, Host, Stream
from guest_builder import WIT

from stellatune_plugins.engine import ComponentInstance, Err, GuestStore, HostImports, Ok, Some, Variant, WasmEngine
from stellatune_plugins.engine.cache import CodeStore
from stellatune_plugins.engine.compiler import CompileLimits
from stellatune_plugins.engine.lanes import lanes_of
from stellatune_plugins.errors import StellatuneError

pytestmark = [pytest.mark.stress, pytest.mark.timeout(3600)]

BLOCKS = 5
FULL = os.environ.get("STELLATUNE_STRESS", "0") != "0"


@pytest.fixture
def engine() -> Iterator[WasmEngine]:
    """An engine of its own."""
    with WasmEngine() as engine:
        yield engine


def growth(work: Callable[[], Any], rounds: int, warm_up: int) -> float:
    """Bytes that a round takes for good: the median of several blocks, since a leak is in every one of them."""
    process = psutil.Process()
    for _ in range(warm_up):
        work()
    taken = []
    for _ in range(BLOCKS):
        gc.collect()
        before = process.memory_info().rss
        for _ in range(rounds // BLOCKS):
            work()
        gc.collect()
        taken.append(process.memory_info().rss - before)
    return float(statistics.median(taken)) / (rounds // BLOCKS)


@pytest.mark.parametrize(
    ("interface", "how"),
    [
        *((interface, how) for interface in WORLDS for how in "ce"),
        *((interface, how) for interface in ("decoder", "source") for how in "ps"),
        *((interface, how) for interface in ("dsp", "output-sink") for how in "pi"),
    ],
)
def test_calls_do_not_leak(
    engine: WasmEngine, interface: str, how: str, stress_size: Callable[[int, int], int]
) -> None:
    """Bytes and errors, out of the guest, into it, and both at once."""
    with BulkGuests(engine).open(interface, lanes=True) as guest:
        guest.play(how)
        data = bytes(range(256)) * 4

        def work() -> None:
            guest.host.stream.data = data
            guest.host.stream.asked.clear()
            guest.host.channel.asked.clear()
            answer = guest.carry(data if guest.takes_bytes else len(data))
            assert isinstance(answer, Err if how == "e" else Ok)

        assert growth(work, stress_size(5_000, 100_000), 1_000) < 16


@pytest.mark.parametrize("end", ["close", "trap"])
def test_instances_leave_nothing(engine: WasmEngine, end: str, stress_size: Callable[[int, int], int]) -> None:
    """Made, used, ended, and made again."""
    guests = BulkGuests(engine)

    def cycle() -> None:
        with guests.open("decoder", lanes=True) as guest:
            guest.host.stream.data = bytes(1000)
            guest.play("s")
            guest.carry(1000)
            if end == "trap":
                guest.play("t")
                with pytest.raises(StellatuneError):
                    guest.carry(8)

    assert growth(cycle, stress_size(300, 5_000), 100) < 500


PYTHON_DECODER = """
from componentize_py_types import Err
from wit_world.imports.common import PcmF32Chunk, PluginError_Timeout

class Session:
    def __init__(self, stream, hint):
        self.stream, self.hint = stream, hint
    def read_pcm_f32(self, max_frames):
        if self.hint == "error":
            raise Err(PluginError_Timeout("zu spät"))
        data = self.stream.read(max_frames * 8)
        return PcmF32Chunk(data, len(data) // 8, not data)

class Decoder:
    def open(self, input, ext_hint):
        return Session(input, ext_hint)

class Lifecycle:
    def on_enable(self): pass
    def on_disable(self, reason): pass
"""
DECODER = "stellatune:plugin/decoder@0.1.0"

if FULL:  # building and compiling 18 MB takes most of a minute

    @pytest.fixture(scope="module")
    def python_decoder(tmp_path_factory: pytest.TempPathFactory) -> bytes:
        """A decoder in Python, built by the toolchain that plugin authors use."""
        folder = tmp_path_factory.mktemp("python")
        (folder / "app.py").write_text(PYTHON_DECODER, "utf-8")
        tool = Path(sys.executable).with_name("componentize-py")
        command = [tool, "-d", WIT, "-w", "decoder-plugin", "componentize", "app", "-o", "app.wasm"]
        done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return (folder / "app.wasm").read_bytes()

    def test_a_decoder_in_python_has_the_same_lanes(engine: WasmEngine, python_decoder: bytes, tmp_path: Path) -> None:
        """Bytes and errors are those of the plain component, which the same store compiles without lanes."""
        component = CodeStore(engine, tmp_path / "code", limits=CompileLimits(seconds=900)).load_component(
            python_decoder, path="app.wasm"
        )
        assert {lane.bulk.lane for lane in lanes_of(component)} == {
            "lane-decoder-session-read-pcm-f32",
            "lane-host-stream-host-stream-handle-read",
            "lane-sidecar-channel-read",
            "lane-sidecar-channel-write",
        }
        for size in (0, 1, 100, 8192):
            stream = Stream(bytes(range(256)) * 256)
            read = read_with(engine, component, stream, None, size)
            assert read == Ok(
                {"interleaved-f32le": (bytes(range(256)) * 256)[: size * 8], "frames": size, "eof": not size}
            )
        assert read_with(engine, component, Stream(), "error", 8) == Err(Variant("timeout", "zu spät"))


def read_with(engine: WasmEngine, component: Any, stream: Stream, hint: str | None, size: int) -> Any:
    """One read of a fresh session."""
    host = Host()
    host.stream = stream
    imports: HostImports = host.imports
    with (
        GuestStore(engine) as store,
        ComponentInstance(store, component, imports, label="python", deadline=60.0) as instance,
    ):
        session = instance.function(DECODER, "open")(stream, None if hint is None else Some(hint)).value
        return instance.function(DECODER, "[method]session.read-pcm-f32")(session, size)
