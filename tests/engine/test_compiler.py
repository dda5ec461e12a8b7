"""Compiling in child processes: results, limits, deaths and interruptions."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import wasmtime
from wasmtime.component import Component

from stellatune_plugins.engine import compile_process, compiler
from stellatune_plugins.engine.compile_process import Answer, CompileProcess
from stellatune_plugins.engine.compiler import Compiled, CompileJob, CompileLimits, Compiler, Outcome
from stellatune_plugins.engine.config import EngineSettings, WasmEngine
from stellatune_plugins.engine.wasm_kind import CodeKind
from stellatune_plugins.errors import CompileFailed, CompileLimit, StellatuneError, WasmInvalid

SETTINGS = EngineSettings()
DESCRIPTORS = Path("/proc/self/fd")


def _module(number: int) -> bytes:
    return bytes(wasmtime.wat2wasm(f'(module (func (export "f") (result i32) i32.const {number}))'))


def _component(number: int) -> bytes:
    core = _module(number)
    assert len(core) < 128
    return b"\0asm\x0d\0\x01\0" + bytes([1, len(core)]) + core


def _leb(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _section(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + _leb(len(body)) + body


def _bomb(size: int = 1_800_000) -> bytes:
    """One function without a loop, a branch in each 14 bytes: the compiler's time grows with the square."""
    unit = bytes.fromhex("0240 2000 0d00 2000 4103 6c 2100 0b")  # block, br_if out of it, x = x * 3, end
    body = b"\0" + unit * (size // len(unit)) + b"\x20\x00\x0b"
    code = b"\x01" + _leb(len(body)) + body
    return b"\0asm\1\0\0\0" + _section(1, b"\1\x60\1\x7f\1\x7f") + _section(3, b"\1\0") + _section(10, code)


def _job(wasm: bytes, path: str = "a.wasm", kind: CodeKind = CodeKind.MODULE) -> CompileJob:
    return CompileJob(wasm, kind, path, "some.plugin")


def _outcomes(jobs: list[CompileJob], limits: CompileLimits | None = None, **options: Any) -> list[Outcome]:
    found = dict(Compiler(SETTINGS, limits or CompileLimits(), **options).run(jobs))
    assert sorted(found) == list(range(len(jobs)))
    return [found[index] for index in range(len(jobs))]


def _failure(job: CompileJob, limits: CompileLimits | None = None) -> StellatuneError:
    (outcome,) = _outcomes([job], limits)
    assert isinstance(outcome, StellatuneError)
    return outcome


class _Child(NamedTuple):
    pid: int
    state: str
    ticks: int
    """Processor time in user mode, in hundredths of a second."""


def _stat(pid: int) -> list[str]:
    """Fields of ``/proc/PID/stat`` from the state on; a dead process counts as state X."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return ["X", "0", *["0"] * 10]


def _children(pid: int) -> list[_Child]:
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [_Child(n, stat[0], int(stat[11])) for n in pids if (stat := _stat(n))[1] == str(pid)]


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Whatever a test did: no child, no zombie and no file descriptor stays behind."""
    children = {child.pid for child in _children(os.getpid())}
    before = sum(1 for _ in DESCRIPTORS.iterdir())
    yield
    assert {child.pid for child in _children(os.getpid())} == children
    assert sum(1 for _ in DESCRIPTORS.iterdir()) <= before


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The keyword arguments of every child process that gets started."""
    calls: list[dict[str, Any]] = []
    popen = subprocess.Popen

    def recording(argv: list[str], **options: Any) -> subprocess.Popen[bytes]:
        calls.append(options)
        return popen(argv, **options)

    monkeypatch.setattr(compile_process.subprocess, "Popen", recording)  # type: ignore[attr-defined]
    return calls


def test_the_engine_accepts_the_childs_code() -> None:
    """A module compiled by the child runs here, and is the very code that this process would have made."""
    with WasmEngine(SETTINGS) as engine:
        (outcome,) = _outcomes([_job(_module(42))])
        assert isinstance(outcome, Compiled)
        with outcome.code as code:
            module = wasmtime.Module.deserialize_file(engine.raw, code.path)
            with code.view() as view:
                assert bytes(view) == bytes(wasmtime.Module(engine.raw, _module(42)).serialize())
        store = wasmtime.Store(engine.raw)
        store.set_epoch_deadline(1000)
        run = wasmtime.Instance(store, module, []).exports(store)["f"]
        assert isinstance(run, wasmtime.Func)
        assert run(store) == 42


@pytest.mark.parametrize("settings", [EngineSettings(opt_level="none"), EngineSettings(max_wasm_stack=1 << 16)])
def test_the_child_uses_the_engines_settings(settings: EngineSettings) -> None:
    """Other settings reach the child: its code is what an engine with those settings makes."""
    with WasmEngine(settings) as engine:
        ((_, outcome),) = Compiler(settings, CompileLimits()).run([_job(_module(1))])
        assert isinstance(outcome, Compiled)
        with outcome.code as code, code.view() as view:
            assert bytes(view) == bytes(wasmtime.Module(engine.raw, _module(1)).serialize())


def test_components_compile_too() -> None:
    """A component goes through the component compiler."""
    with WasmEngine(SETTINGS) as engine:
        (outcome,) = _outcomes([_job(_component(1), kind=CodeKind.COMPONENT)])
        assert isinstance(outcome, Compiled)
        with outcome.code as code:
            assert isinstance(Component.deserialize_file(engine.raw, code.path), Component)


def test_a_batch_shares_few_children(started: list[dict[str, Any]]) -> None:
    """Twelve small modules take at most two processes, and an invalid one among them costs no new one."""
    jobs = [_job(_module(n)) for n in range(11)] + [_job(b"\0asm\1\0\0\0\x63")]
    outcomes = _outcomes(jobs)
    assert [type(outcome) for outcome in outcomes] == [Compiled] * 11 + [WasmInvalid]
    assert len(started) <= 2
    for outcome in outcomes[:11]:
        assert isinstance(outcome, Compiled)
        outcome.code.close()


def test_children_get_a_clean_environment(started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither secrets nor Python's own variables reach a child, nor does the terminal's Ctrl-C."""
    monkeypatch.setenv("SOME_TOKEN", "secret")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    (outcome,) = _outcomes([_job(_module(1))])
    assert isinstance(outcome, Compiled)
    outcome.code.close()
    (options,) = started
    assert set(options["env"]) == {"LC_ALL", "MALLOC_ARENA_MAX", "RAYON_NUM_THREADS"}
    assert options["start_new_session"]
    assert options["stdin"] == subprocess.DEVNULL


def test_a_bomb_ends_at_its_time() -> None:
    """1.8 MB of straight-line code, which compiles for far longer, is stopped after the allowed second."""
    started = time.monotonic()
    failure = _failure(_job(_bomb(), "bomb.wasm"), CompileLimits(seconds=1))
    assert isinstance(failure, CompileLimit)
    assert failure.details == {"path": "bomb.wasm", "limit": "time"}
    assert failure.plugin == "some.plugin"
    assert time.monotonic() - started < 5


def test_a_bomb_ends_at_its_memory() -> None:
    """The same code under 32 MiB fails for memory, long before its time."""
    failure = _failure(_job(_bomb()), CompileLimits(memory_bytes=32 << 20))
    assert isinstance(failure, CompileLimit)
    assert failure.details["limit"] == "memory"


def test_a_bomb_ends_at_its_processor_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel ends a child even where the parent's clock does not: here it is allowed a minute."""
    begin = CompileProcess.begin
    monkeypatch.setattr(CompileProcess, "begin", lambda self, wasm, kind, **_: begin(self, wasm, kind, cpu_seconds=0))
    failure = _failure(_job(_bomb()))
    assert isinstance(failure, CompileLimit)
    assert failure.details["limit"] == "time"


def test_too_large_code_is_not_even_tried(started: list[dict[str, Any]]) -> None:
    """The size limit holds before a process is started."""
    failure = _failure(_job(_module(1)), CompileLimits(wasm_bytes=10))
    assert isinstance(failure, CompileLimit)
    assert failure.details["limit"] == "size"
    assert started == []


def test_a_bomb_does_not_stop_the_others() -> None:
    """Beside a bomb and after it, the rest of the batch compiles."""
    outcomes = _outcomes(
        [_job(_bomb()), _job(_bomb()), *(_job(_module(n)) for n in range(4))], CompileLimits(memory_bytes=32 << 20)
    )
    assert [type(outcome) for outcome in outcomes] == [CompileLimit] * 2 + [Compiled] * 4
    for outcome in outcomes[2:]:
        assert isinstance(outcome, Compiled)
        outcome.code.close()


@pytest.mark.parametrize(
    "wat",
    [
        "(module (memory i64 1))",
        "(module (memory 1 1 shared))",
        "(module (func return_call 0))",
        "(module (type (struct)))",
        "(module (tag))",
    ],
)
def test_features_beyond_the_contract_are_invalid(wat: str) -> None:
    """Guests cannot use what the engine has switched off."""
    failure = _failure(_job(bytes(wasmtime.wat2wasm(wat))))
    assert isinstance(failure, WasmInvalid)


def test_an_invalid_module_says_where() -> None:
    """The compiler's message comes through on one line, with the file's name before it."""
    failure = _failure(_job(b"\0asm\1\0\0\0\x0a\x01\x05", "bin/a.wasm"))
    assert isinstance(failure, WasmInvalid)
    assert failure.message.startswith("bin/a.wasm: ")
    assert "\n" not in failure.message
    assert "offset" in failure.message


def test_messages_carry_no_control_characters() -> None:
    """Names out of hostile code reach no terminal as escape sequences, and no message is long."""
    assert compiler._shown("bad\x1b[2J name\n\n  Caused by:\tx") == "bad\N{REPLACEMENT CHARACTER}[2J name Caused by: x"
    assert len(compiler._shown("x" * 10_000)) == 300


def test_a_killed_child_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that dies without an answer gives its signal; the next job gets a new child."""
    begin, pids = CompileProcess.begin, list[int]()

    def begin_and_die(self: CompileProcess, wasm: bytes, kind: CodeKind, *, cpu_seconds: int) -> None:
        if not pids:
            os.kill(self.pid, signal.SIGKILL)
        pids.append(self.pid)
        begin(self, wasm, kind, cpu_seconds=cpu_seconds)

    monkeypatch.setattr(CompileProcess, "begin", begin_and_die)
    first, second = _outcomes([_job(_module(1)), _job(_module(2))], CompileLimits(processes=1))
    assert isinstance(first, CompileFailed)
    assert "SIGKILL" in first.message
    assert first.details["exit_code"] == -signal.SIGKILL
    assert isinstance(second, Compiled)
    second.code.close()
    assert pids[0] != pids[1]


def test_a_child_that_cannot_start_its_engine_says_why() -> None:
    """Its last words are part of the error."""
    ((_, failure),) = Compiler(EngineSettings(opt_level="bogus"), CompileLimits()).run([_job(_module(1))])
    assert isinstance(failure, CompileFailed)
    assert failure.details["exit_code"] == 1
    assert "bogus" in failure.message


@pytest.mark.parametrize("where", ["__init__", "begin"])
def test_a_system_without_room_for_a_child_is_reported(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """No process or file descriptor to be had is an error of the batch's pieces, with nothing left behind."""

    def full(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(CompileProcess, where, full)
    for outcome in _outcomes([_job(_module(n)) for n in range(3)]):
        assert isinstance(outcome, CompileFailed)
        assert "Too many open files" in outcome.message


@pytest.mark.parametrize("size", [0, 5, 1 << 40])
def test_code_of_another_length_is_not_taken(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """An answer that does not fit what was written is a failure, not code."""
    answer = CompileProcess.answer

    def lying(self: CompileProcess) -> Answer | None:
        assert answer(self) is not None
        return Answer("done", bytes=size)

    monkeypatch.setattr(CompileProcess, "answer", lying)
    assert isinstance(_failure(_job(_module(1))), CompileFailed)


def test_progress_is_shown_after_a_second() -> None:
    """Nothing in the first second, then a call about every half second with the time so far."""
    seen: list[tuple[str, float]] = []
    (outcome,) = _outcomes(
        [_job(_bomb(), "bomb.wasm")], CompileLimits(seconds=2.2), on_progress=lambda *args: seen.append(args)
    )
    assert isinstance(outcome, CompileLimit)
    assert {path for path, _ in seen} == {"bomb.wasm"}
    assert 1 <= len(seen) <= 3
    assert all(1.0 <= seconds <= 10 for _, seconds in seen)


def test_a_failing_progress_display_leaves_no_child() -> None:
    """What the caller's own function raises passes through, and the children are ended."""

    def broken(*_: object) -> None:
        raise RuntimeError("display")

    with pytest.raises(RuntimeError, match="display"):
        _outcomes([_job(_bomb())], on_progress=broken)


def test_an_abandoned_batch_ends_its_children() -> None:
    """Closing the iterator midway kills what is still compiling."""
    with contextlib.closing(Compiler(SETTINGS, CompileLimits()).run([_job(_module(1)), _job(_bomb())])) as outcomes:
        _, outcome = next(outcomes)
        assert isinstance(outcome, Compiled)
        outcome.code.close()


COMPILE = """
import sys
from stellatune_plugins.engine.compiler import *
wasm = sys.stdin.buffer.read()
print("ready", flush=True)
list(Compiler(EngineSettings(), CompileLimits()).run([CompileJob(wasm, CodeKind.MODULE, "bomb")]))
"""


@pytest.mark.parametrize(("sent", "ends_with"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGKILL, -signal.SIGKILL)])
def test_the_child_ends_with_its_parent(sent: signal.Signals, ends_with: int) -> None:
    """Ctrl-C in the parent, or its death without a chance to clean up, ends the compiler process."""
    with subprocess.Popen(
        [sys.executable, "-c", COMPILE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdin.write(_bomb())
        parent.stdin.close()
        assert parent.stdout.readline() == b"ready\n"
        until = time.monotonic() + 10
        while not (children := [child for child in _children(parent.pid) if child.ticks > 15]):
            assert time.monotonic() < until, "no compiler process at work"
            time.sleep(0.02)
        parent.send_signal(sent)
        assert parent.wait(timeout=10) == ends_with
        (child,) = children
        until = time.monotonic() + 10
        while _stat(child.pid)[0] not in "XZ":
            assert time.monotonic() < until, "the compiler process lives on"
            time.sleep(0.02)
