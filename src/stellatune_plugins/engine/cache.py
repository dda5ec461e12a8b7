"""Where compiled code comes from: this process, else the cache folder, else the compiler."""

from __future__ import annotations

import collections
import contextlib
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar, cast

import wasmtime
from wasmtime.component import Component

from stellatune_plugins.engine.cache_files import EntryRejected
from stellatune_plugins.engine.cache_folder import CacheFolder, Usage
from stellatune_plugins.engine.cache_key import code_key, this_target
from stellatune_plugins.engine.cache_lanes import LaneChoice
from stellatune_plugins.engine.cache_lock import CompileClaims
from stellatune_plugins.engine.compiler import CompileJob, CompileLimits, Compiler, Outcome, Progress
from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.engine.lanes import attach_lanes
from stellatune_plugins.engine.sealed import Sealed
from stellatune_plugins.engine.wasm_kind import CodeKind, require_kind
from stellatune_plugins.errors import CompileFailed, StellatuneError
from stellatune_plugins.observe import Event, EventBus
from stellatune_plugins.observe.events import CodeCacheRejected, CodeCompiled, CodeLoaded

DEFAULT_CAP_BYTES: Final = 1 << 30
KEPT: Final = 16
"""How many pieces of code a store keeps in memory that nobody else holds."""
_POLL_SECONDS: Final = 0.02
_COUNTED: Final = ("shared", "loaded", "compiled", "rejected")

Code = Component | wasmtime.Module

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class CodeStats(NamedTuple):
    """What a store did since it was made, and what its folder holds now."""

    shared: int
    loaded: int
    compiled: int
    rejected: int
    entries: int
    bytes: int


class CodeStore:
    """Compiled code by content, for one engine. Serves any number of threads; processes may share the folder.

    Args:
        engine: runs the code.
        folder: the cache; None for memory alone. One that cannot be used is logged and done without.
        bus: hears of compiled, loaded and rejected code.
        limits: what one compilation may take.
        on_progress: called when a compilation takes over a second, about twice a second.
        cap_bytes: what the folder may hold; the least recently used code goes first.
    """

    def __init__(
        self,
        engine: WasmEngine,
        folder: Path | None,
        *,
        bus: EventBus | None = None,
        limits: CompileLimits | None = None,
        on_progress: Progress | None = None,
        cap_bytes: int = DEFAULT_CAP_BYTES,
    ) -> None:
        self._engine = engine
        self._folder = None if folder is None else CacheFolder(folder, cap_bytes=cap_bytes)
        self._bus = bus
        self._limits = limits or CompileLimits()
        self._lanes = LaneChoice(bus, self._limits.wasm_bytes)
        self._compiler = Compiler(engine.settings, self._limits, on_progress)
        self._claims = CompileClaims(self._folder)
        self._target = this_target()
        self._lock = threading.Lock()
        self._known: weakref.WeakValueDictionary[bytes, Code] = weakref.WeakValueDictionary()
        self._kept: collections.OrderedDict[bytes, Code] = collections.OrderedDict()
        self._counts: collections.Counter[str] = collections.Counter()
        self._warned = False

    def load_component(self, wasm: bytes, *, path: str, plugin: str | None = None) -> Component:
        """A component, ready to be instantiated.

        Raises:
            NotWasm: not a binary component.
            WasmInvalid: it does not validate.
            CompileLimit: it took too much time or memory, or is too large.
            CompileFailed: the compiler process died.
        """
        return cast("Component", self._load(CompileJob(wasm, CodeKind.COMPONENT, path, plugin)))

    def load_module(self, wasm: bytes, *, path: str, plugin: str | None = None) -> wasmtime.Module:
        """A core module, ready to be instantiated. Raises what ``load_component`` does."""
        return cast("wasmtime.Module", self._load(CompileJob(wasm, CodeKind.MODULE, path, plugin)))

    def load_many(self, jobs: Sequence[CompileJob]) -> list[Code | StellatuneError]:
        """Load several at once, in order; one that fails gives its error and does not stop the rest."""
        results: list[Code | StellatuneError | None] = [None] * len(jobs)
        waiting: dict[int, CompileJob] = {}
        for index, job in enumerate(jobs):
            try:
                require_kind(job.wasm, job.kind, path=job.path, plugin=job.plugin)
            except StellatuneError as error:
                results[index] = error
            else:
                waiting[index] = self._lanes.grafted(job)
        while waiting:
            plain: dict[int, CompileJob] = {}
            for index, outcome in self._load_all(waiting):
                if self._lanes.stands(waiting[index], outcome):
                    results[index] = outcome
                else:
                    plain[index] = jobs[index]
            waiting = plain
        return cast("list[Code | StellatuneError]", results)

    def prune(self, cap_bytes: int | None = None) -> int:
        """Evict from the folder down to the cap, or to another one. Returns how many entries went."""
        return self._on_folder(lambda folder: folder.prune(cap_bytes)) or 0

    def clear(self) -> int:
        """Forget all code, in memory and in the folder. Returns how many entries went."""
        with self._lock:
            self._kept.clear()
            self._known.clear()
        return self._on_folder(CacheFolder.clear) or 0

    def stats(self) -> CodeStats:
        """A snapshot of the counters and of the folder."""
        usage = self._on_folder(CacheFolder.usage) or Usage(0, 0)
        with self._lock:
            counts = dict(self._counts)
        shared, loaded, compiled, rejected = (counts.get(name, 0) for name in _COUNTED)
        return CodeStats(shared, loaded, compiled, rejected, usage.entries, usage.bytes)

    def _load(self, job: CompileJob) -> Code:
        (result,) = self.load_many([job])
        if isinstance(result, StellatuneError):
            raise result
        return result

    def _load_all(self, jobs: dict[int, CompileJob]) -> Iterator[tuple[int, Code | StellatuneError]]:
        """Each job's index and what became of it; equal ones are settled once."""
        places: dict[bytes, list[int]] = {}
        for index, job in jobs.items():
            key = code_key(job.wasm, job.kind, self._engine.settings, self._target)
            places.setdefault(key, []).append(index)
        settled = self._settle({key: jobs[indices[0]] for key, indices in places.items()})
        for key, indices in places.items():
            for index in indices:
                yield index, settled[key]

    def _settle(self, wanted: dict[bytes, CompileJob]) -> dict[bytes, Code | StellatuneError]:
        """Find or make every piece of code. What somebody else is compiling just now is waited for, within limits."""
        settled: dict[bytes, Code | StellatuneError] = {}
        patience = time.monotonic() + self._limits.seconds
        while True:
            self._collect(wanted, settled)
            missing = {key: job for key, job in wanted.items() if key not in settled}
            if not missing:
                return settled
            with contextlib.ExitStack() as stack:
                claims: dict[bytes, contextlib.ExitStack] = {}
                for key in missing:
                    if (claim := self._claims.take(key)) is not None:
                        claims[key] = stack.enter_context(claim)
                if not claims:
                    if time.monotonic() < patience:
                        time.sleep(_POLL_SECONDS)
                        continue
                    claims = {key: contextlib.ExitStack() for key in missing}  # the other one hangs: do it twice
                # Whoever had the claim until now has left the code behind.
                self._collect({key: missing[key] for key in claims}, settled)
                self._compile({key: missing[key] for key in claims if key not in settled}, claims, settled)

    def _collect(self, wanted: dict[bytes, CompileJob], settled: dict[bytes, Code | StellatuneError]) -> None:
        for key, job in wanted.items():
            if key not in settled and (code := self._find(key, job)) is not None:
                settled[key] = code

    def _compile(
        self,
        wanted: dict[bytes, CompileJob],
        claims: dict[bytes, contextlib.ExitStack],
        settled: dict[bytes, Code | StellatuneError],
    ) -> None:
        """Compile; keep, write and announce each piece as it comes, and give up its claim."""
        keys = list(wanted)
        with contextlib.closing(self._compiler.run(list(wanted.values()))) as outcomes:
            for index, outcome in outcomes:
                key = keys[index]
                settled[key] = self._take(key, wanted[key], outcome)
                claims[key].close()

    def _take(self, key: bytes, job: CompileJob, outcome: Outcome) -> Code | StellatuneError:
        if isinstance(outcome, StellatuneError):
            return outcome
        with outcome.code as code:
            try:
                loaded = self._deserialise(code, job)
            except wasmtime.WasmtimeError as error:
                failed = CompileFailed(
                    f"the engine refused the compiled code of {job.path}", plugin=job.plugin, operation="compile"
                )
                failed.__cause__ = error
                return failed
            loaded = self._keep(key, loaded, "compiled")  # first, or another thread would find it in the folder
            self._on_folder(lambda folder: folder.write(key, code))
        self._emit(CodeCompiled(plugin=job.plugin, path=job.path, wasm_bytes=len(job.wasm), seconds=outcome.seconds))
        return loaded

    def _find(self, key: bytes, job: CompileJob) -> Code | None:
        """The code, if this process or the folder has it."""
        with self._lock:
            known = self._known.get(key)
        if known is not None:
            return self._keep(key, known, "shared")
        started = time.perf_counter()
        try:
            sealed = self._on_folder(lambda folder: folder.read(key))
            if sealed is None:
                return None
            with sealed:
                loaded = self._deserialise(sealed, job)
        except EntryRejected as error:
            self._reject(key, job, str(error))
            return None
        except wasmtime.WasmtimeError:
            self._reject(key, job, "genuine, but refused by the engine")
            return None
        loaded = self._keep(key, loaded, "loaded")
        self._emit(CodeLoaded(plugin=job.plugin, path=job.path, seconds=time.perf_counter() - started))
        return loaded

    def _deserialise(self, code: Sealed, job: CompileJob) -> Code:
        """Map code as executable: only ever bytes that were checked, or that came from our own compiler process."""
        if job.kind is CodeKind.COMPONENT:
            component = Component.deserialize_file(self._engine.raw, code.path)
            if job.lanes:
                attach_lanes(component, job.lanes)
            return component
        return wasmtime.Module.deserialize_file(self._engine.raw, code.path)

    def _keep(self, key: bytes, code: Code, how: str) -> Code:
        """Count and remember; where another thread came first, its object is the one."""
        with self._lock:
            self._counts[how] += 1
            code = self._known.setdefault(key, code)
            self._kept[key] = code
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return code

    def _reject(self, key: bytes, job: CompileJob, reason: str) -> None:
        with self._lock:
            self._counts["rejected"] += 1
        _log.warning("the cached code of %s is not used: %s", job.path, reason)
        self._emit(CodeCacheRejected(plugin=job.plugin, path=job.path, reason=reason))
        self._on_folder(lambda folder: folder.discard(key))

    def _on_folder(self, use: Callable[[CacheFolder], _T]) -> _T | None:
        """Use the folder, if there is one and it can be used; otherwise say so once."""
        if self._folder is None:
            return None
        try:
            return use(self._folder)
        except OSError as error:
            with self._lock:
                first, self._warned = not self._warned, True
            if first:
                _log.warning(
                    "the code cache in %s cannot be used, so code may be compiled again: %s", self._folder.path, error
                )
            return None

    def _emit(self, event: Event) -> None:
        if self._bus is not None:
            self._bus.emit(event)
