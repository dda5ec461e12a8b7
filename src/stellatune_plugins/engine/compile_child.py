"""The compiler process: hostile WebAssembly in, machine code out, under limits that the kernel enforces.

The parent runs this file by its path, without ``site`` and without the package's front door, since their imports
would take longer than most compilations. Requests and answers are whole messages on a socket (``SOCK_SEQPACKET``); the
WebAssembly comes and the code goes through anonymous files whose descriptors travel with the request.

Request: ``{"kind": "module" | "component", "cpu_seconds": int}`` and two descriptors, input and output.
Answer: ``{"status": "done", "bytes": int}``, or ``invalid``, ``memory`` or ``failed`` with a ``message``.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import socket
import sys
import types
from typing import Any, Final

PACKAGE: Final = "stellatune_plugins.engine"
MESSAGE_BYTES: Final = 16384
ERROR_CHARACTERS: Final = 2000

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_OPEN_FILES: Final = 32
# One function: enough to start the compiler's threads and to touch what it allocates once.
_WARM_UP: Final = bytes.fromhex("0061736d01000000 01040160 0000 03020100 0a040102000b")


def main(arguments: list[str]) -> None:
    """Serve requests on the given socket until the parent closes it."""
    start = json.loads(arguments[1])
    _harden(start["parent"])
    sys.path.extend(start["paths"])
    with socket.socket(fileno=start["socket"]) as channel:
        engine = _engine(start["settings"], start["folder"])
        _limit_memory(start["memory_bytes"])
        while True:
            message, descriptors, _, _ = socket.recv_fds(channel, MESSAGE_BYTES, 2)
            if not message:
                return
            channel.send(json.dumps(_serve(engine, json.loads(message), *descriptors)).encode())


def _harden(parent: int) -> None:
    """Die with the parent, leave no core dump, be the first to go when memory runs out."""
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:  # noqa: PTH123 - pathlib costs 2 ms
        score.write("500")
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if os.getppid() != parent:  # it died before the kernel was told
        sys.exit(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))


def _engine(settings: dict[str, Any], folder: str) -> Any:
    """An engine like the parent's, with its threads started."""
    # The package without its front door: the settings' module alone is wanted, not all that the room re-exports.
    room = types.ModuleType(PACKAGE)
    room.__path__ = [folder]
    sys.modules[PACKAGE] = room
    import wasmtime  # noqa: PLC0415 - found on the parent's path

    from stellatune_plugins.engine.config import EngineSettings, make_config  # noqa: PLC0415 - likewise

    engine = wasmtime.Engine(make_config(EngineSettings(**settings)))
    wasmtime.Module(engine, _WARM_UP)
    return engine


def _limit_memory(allowance: int) -> None:
    """Allow so many bytes of address space beyond what is mapped already."""
    with open("/proc/self/statm", encoding="ascii") as sizes:  # noqa: PTH123 - pathlib costs 2 ms
        mapped = int(sizes.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + allowance, mapped + allowance))
    resource.setrlimit(resource.RLIMIT_FSIZE, (allowance, allowance))


def _limit_cpu(seconds: int) -> None:
    """Allow so much more processor time, over all threads; then the kernel ends this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(usage.ru_utime + usage.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _serve(engine: Any, request: dict[str, Any], source: int, target: int) -> dict[str, Any]:
    from wasmtime import Module, WasmtimeError  # noqa: PLC0415 - found on the parent's path
    from wasmtime.component import Component  # noqa: PLC0415 - likewise

    _limit_cpu(request["cpu_seconds"])
    try:
        with open(source, "rb") as file:
            file.seek(0)  # the parent's writing moved the position that both share
            wasm = file.read()
        loader = Component if request["kind"] == "component" else Module
        code = loader(engine, wasm).serialize()
        with open(target, "wb") as file:
            file.write(code)
        return {"status": "done", "bytes": len(code)}
    except MemoryError:
        return {"status": "memory", "message": "the interpreter ran out of memory"}
    except WasmtimeError as error:
        return {"status": "invalid", "message": str(error)[:ERROR_CHARACTERS]}
    except OSError as error:
        return {"status": "failed", "message": str(error)[:ERROR_CHARACTERS]}


if __name__ == "__main__":
    main(sys.argv)
