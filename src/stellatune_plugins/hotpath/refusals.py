"""The answer to the imports that language runtimes pull in: a module that refuses every one of them.

A hot-path module needs no imports. The functions of ``wasi_snapshot_preview1`` are tolerated, and answered without any
host code: one that returns an errno gives 52 (``nosys``), and ``proc_exit``, which cannot return, traps.

Nothing of a guest gets into the refusals' text: names and types are those of the public specification (WASI preview 1,
lowered to core types), so one module serves all guests of an engine.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any, Final

from stellatune_plugins.contract.hot_path_abi import TOLERATED_IMPORT_MODULE
from stellatune_plugins.engine.assemble import compile_trusted
from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.engine.core import CoreInstance, CoreModule, FunctionType
from stellatune_plugins.engine.store import GuestStore
from stellatune_plugins.errors import HotPathRejected

MAX_IMPORTS: Final = 64
"""The specification has fewer functions; a module may import one of them twice."""
_NAMED: Final = 3
_NAME_CHARS: Final = 60
_ERRNO_NOSYS: Final = 52

_ERRNO_FUNCTIONS: Final = {
    "": "sched_yield",
    "i32": "fd_close fd_datasync fd_sync proc_raise",
    "i32 i32": "args_get args_sizes_get environ_get environ_sizes_get clock_res_get fd_fdstat_get fd_fdstat_set_flags"
    " fd_filestat_get fd_prestat_get fd_renumber fd_tell random_get sock_shutdown",
    "i32 i64": "fd_filestat_set_size",
    "i32 i32 i32": "fd_prestat_dir_name path_create_directory path_remove_directory path_unlink_file sock_accept",
    "i32 i64 i32": "clock_time_get",
    "i32 i64 i64": "fd_allocate fd_fdstat_set_rights",
    "i32 i32 i32 i32": "fd_read fd_write poll_oneoff",
    "i32 i64 i32 i32": "fd_seek",
    "i32 i64 i64 i32": "fd_advise fd_filestat_set_times",
    "i32 i32 i32 i32 i32": "path_filestat_get path_symlink sock_send",
    "i32 i32 i32 i64 i32": "fd_pread fd_pwrite fd_readdir",
    "i32 i32 i32 i32 i32 i32": "path_readlink path_rename sock_recv",
    "i32 i32 i32 i32 i32 i32 i32": "path_link",
    "i32 i32 i32 i32 i64 i64 i32": "path_filestat_set_times",
    "i32 i32 i32 i32 i32 i64 i64 i32 i32": "path_open",
}
FUNCTIONS: Final[dict[str, FunctionType]] = {
    name: FunctionType(tuple(params.split()), ("i32",))
    for params, names in _ERRNO_FUNCTIONS.items()
    for name in names.split()
} | {"proc_exit": FunctionType(("i32",), ())}
"""Every function that is tolerated, with its signature."""

_modules: weakref.WeakKeyDictionary[WasmEngine, CoreModule] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def refused_imports(store: GuestStore, module: CoreModule, *, deadline: float) -> dict[tuple[str, str], Any]:
    """Externs for everything that the module may import.

    Raises:
        HotPathRejected: it imports something else, or too much; the message names it.
    """
    imports = module.imports
    other = [(m, n, kind) for m, n, kind in imports if m != TOLERATED_IMPORT_MODULE or FUNCTIONS.get(n) != kind]
    if other:
        names = ", ".join(_describe(*each) for each in other[:_NAMED])
        more = f" and {len(other) - _NAMED} more" if len(other) > _NAMED else ""
        raise HotPathRejected(f"the core module imports {names}{more}; it may import nothing", rule="imports")
    if len(imports) > MAX_IMPORTS:
        raise HotPathRejected(f"the core module has {len(imports)} imports; it may have none", rule="imports")
    if not imports:
        return {}
    refusals = CoreInstance(store, _refusals(store.engine), deadline=deadline)
    return {(m, n): refusals.raw_export(n) for m, n, _ in imports}


def _describe(module: str, name: str, kind: object) -> str:
    """An import for a message; a function that would be tolerated with another signature is named with its own."""
    full = f"{_legible(module)}.{_legible(name)}"
    wrong = module == TOLERATED_IMPORT_MODULE and name in FUNCTIONS and isinstance(kind, FunctionType)
    return f"{full} {_legible(str(kind))}" if wrong else full


def _legible(text: str) -> str:
    kept = text if len(text) <= _NAME_CHARS else f"{text[:_NAME_CHARS]}..."
    return "".join(char if char.isprintable() else "?" for char in kept)


def _refusals(engine: WasmEngine) -> CoreModule:
    with _lock:
        module = _modules.get(engine)
        if module is None:
            text = "".join(_refusal(name, kind) for name, kind in FUNCTIONS.items())
            module = _modules[engine] = compile_trusted(engine, f"(module {text})")
        return module


def _refusal(name: str, kind: FunctionType) -> str:
    params = f" (param {' '.join(kind.params)})" if kind.params else ""
    if kind.results:
        return f'(func (export "{name}"){params} (result i32) (i32.const {_ERRNO_NOSYS}))'
    return f'(func (export "{name}"){params} (unreachable))'
