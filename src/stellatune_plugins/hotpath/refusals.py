"""The answer to the imports that language runtimes pull in: a module that refuses every one of them.

A hot-path module needs no imports. Those of ``wasi_snapshot_preview1`` are tolerated, and answered without any host
code: a function that returns an errno gives 52 (``nosys``), any other (``proc_exit``) traps.
"""

from __future__ import annotations

from typing import Any

from stellatune_plugins.contract.hot_path_abi import TOLERATED_IMPORT_MODULE
from stellatune_plugins.engine.assemble import compile_trusted
from stellatune_plugins.engine.core import CoreInstance, CoreModule, FunctionType
from stellatune_plugins.engine.store import GuestStore
from stellatune_plugins.errors import HotPathRejected

_ERRNO_NOSYS = 52
_NUMERIC = {"i32", "i64", "f32", "f64"}


def refused_imports(store: GuestStore, module: CoreModule, *, deadline: float) -> dict[tuple[str, str], Any]:
    """Externs for everything that the module may import.

    Raises:
        HotPathRejected: it imports something else; the message names it.
    """
    other = [f"{m}.{n}" for m, n, kind in module.imports if not _tolerated(m, kind)]
    if other:
        raise HotPathRejected(f"the core module imports {', '.join(other)}; it may import nothing", rule="imports")
    functions: dict[tuple[str, str], FunctionType] = {
        (m, n): kind for m, n, kind in module.imports if isinstance(kind, FunctionType)
    }
    if not functions:
        return {}
    text = "".join(_refusal(f"f{index}", kind) for index, kind in enumerate(functions.values()))
    refusals = CoreInstance(store, compile_trusted(store.engine, f"(module {text})"), deadline=deadline)
    return {key: refusals.raw_export(f"f{index}") for index, key in enumerate(functions)}


def _tolerated(module: str, kind: object) -> bool:
    if module != TOLERATED_IMPORT_MODULE or not isinstance(kind, FunctionType):
        return False
    return set(kind.params) <= _NUMERIC and kind.results in {(), ("i32",)}


def _refusal(name: str, kind: FunctionType) -> str:
    params = f" (param {' '.join(kind.params)})" if kind.params else ""
    if kind.results:
        return f'(func (export "{name}"){params} (result i32) (i32.const {_ERRNO_NOSYS}))'
    return f'(func (export "{name}"){params} (unreachable))'
