"""The parent's end of one compiler process: starting it, handing it work, reading answers, ending it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec
import wasmtime

import stellatune_plugins
from stellatune_plugins.engine import compile_child
from stellatune_plugins.engine.config import EngineSettings
from stellatune_plugins.engine.sealed import Sealed, new_memfd
from stellatune_plugins.engine.wasm_kind import CodeKind

_LAST_WORDS_BYTES: Final = 4096


class Answer(msgspec.Struct, frozen=True):
    """What a compiler process says at the end of a job."""

    status: str
    bytes: int = 0
    message: str = ""


def _import_paths() -> list[str]:
    """Where the child finds the few packages that it needs, in the parent's order, whatever its environment was."""
    files = [Path(str(module.__file__)) for module in (stellatune_plugins, wasmtime, msgspec)]
    return list(dict.fromkeys(str(file.parent.parent) for file in files))


class CompileProcess:
    """One child. It dies with the thread that started it, on ``kill``, and by its own limits.

    Args:
        settings: of the engine that is to run the code.
        memory_bytes: what it may allocate beyond an idle child.
        threads: compiler threads.

    Raises:
        OSError: no process or file descriptor to be had.
    """

    def __init__(self, settings: EngineSettings, memory_bytes: int, threads: int) -> None:
        self._code: int | None = None
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._said = new_memfd("stellatune-compiler-output")
        start = {
            "parent": os.getpid(),
            "socket": theirs.fileno(),
            "paths": _import_paths(),
            "folder": str(Path(__file__).parent),
            "settings": msgspec.to_builtins(settings),
            "memory_bytes": memory_bytes,
        }
        # Each malloc arena reserves 64 MiB of the address space that the limit counts, so no more than threads. With
        # a single one two threads take 1.3 times as long.
        environment = {"LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": str(threads + 1), "RAYON_NUM_THREADS": str(threads)}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(compile_child.__file__), json.dumps(start)],
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=self._said,
                pass_fds=(theirs.fileno(),),
                env=environment,
                cwd="/",
                start_new_session=True,  # Ctrl-C is for the parent, which then ends its children
            )
        except BaseException:
            self._channel.close()
            os.close(self._said)
            raise
        finally:
            theirs.close()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def fileno(self) -> int:
        """What to poll: readable when there is an answer, and when the child is gone."""
        return self._channel.fileno()

    def begin(self, wasm: bytes, kind: CodeKind, *, cpu_seconds: int) -> None:
        """Hand over a job. A child that is gone already shows in ``answer``."""
        self._drop_code()
        self._code = new_memfd("stellatune-code")
        request = json.dumps({"kind": str(kind), "cpu_seconds": cpu_seconds}).encode()
        with Sealed.of_bytes(wasm) as source, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            socket.send_fds(self._channel, [request], [source.descriptor, self._code])

    def answer(self) -> Answer | None:
        """The answer to the job, or None where the child ended without one. Waits."""
        try:
            message = self._channel.recv(compile_child.MESSAGE_BYTES)
        except ConnectionResetError:
            return None
        return msgspec.json.decode(message, type=Answer) if message else None

    def take_code(self, size: int) -> Sealed | None:
        """The code that was answered with, now the caller's; None where it is not of the announced size."""
        descriptor, self._code = self._code, None
        if descriptor is None:
            return None
        code = Sealed(descriptor)
        if code.size == size and size > 0:
            return code
        code.close()
        return None

    def died(self) -> tuple[int, str]:
        """How a child that gave no answer ended: exit code (a signal's number negated) and its last words.

        A child whose end of the channel is closed is ending; one that lingers is killed.
        """
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        size = os.fstat(self._said).st_size
        said = os.pread(self._said, _LAST_WORDS_BYTES, max(0, size - _LAST_WORDS_BYTES))
        return code, said.decode(errors="replace").strip()

    def kill(self) -> None:
        """End the child and let go of everything. May be called again."""
        if self._channel.fileno() < 0:
            return
        self._process.kill()
        self._process.wait()
        self._channel.close()
        os.close(self._said)
        self._drop_code()

    def _drop_code(self) -> None:
        descriptor, self._code = self._code, None
        if descriptor is not None:
            os.close(descriptor)
