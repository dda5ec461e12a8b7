"""Which components are compiled with lanes, and what is done where that does not work out."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

from stellatune_plugins.engine.compiler import CompileJob
from stellatune_plugins.engine.lanes import LayoutUnknown, graft_lanes
from stellatune_plugins.engine.lanes.check import unfit_lanes
from stellatune_plugins.engine.shape import component_shape
from stellatune_plugins.engine.wasm_kind import CodeKind
from stellatune_plugins.errors import StellatuneError, WasmInvalid
from stellatune_plugins.observe import EventBus
from stellatune_plugins.observe.events import CodeLanesRefused

_log = logging.getLogger(__name__)


class LaneChoice:
    """Grafts lanes onto components before they are compiled, and judges what came out.

    What was compiled with lanes is cached under the key of its own bytes, the lanes' included, so a change in how
    lanes are made never meets old code.

    Args:
        bus: hears of components that go without.
        most_bytes: what the compiler takes; a component that only its lanes would make too large gets none.
    """

    def __init__(self, bus: EventBus | None, most_bytes: int) -> None:
        self._bus = bus
        self._most_bytes = most_bytes
        self._refused: dict[bytes, str] = {}

    def grafted(self, job: CompileJob) -> CompileJob:
        """The job with lanes on its component, or the job itself where that has no use or no known layout."""
        if job.kind is not CodeKind.COMPONENT or len(job.wasm) > self._most_bytes:
            return job
        try:
            graft = graft_lanes(job.wasm)
        except LayoutUnknown as unknown:
            self._report(job, str(unknown))
            return job
        if graft is None or len(graft.wasm) > self._most_bytes:
            return job
        before = self._refused.get(_digest(graft.wasm)) if self._refused else None
        if before is not None:
            self._report(job, before)
            return job
        for function, reason in graft.refused.items():
            self._report(job, f"{function}: {reason}")
        return job._replace(wasm=graft.wasm, lanes=graft.lanes)

    def stands(self, job: CompileJob, outcome: Any) -> bool:
        """Whether what became of a job is to be used; if not, its component is to be compiled as it is.

        Args:
            job: as it was compiled.
            outcome: the component, or what went wrong. Only code that does not validate is worth another try: what
                takes too much time would take it again.
        """
        if not job.lanes or (isinstance(outcome, StellatuneError) and not isinstance(outcome, WasmInvalid)):
            return True
        reason = outcome.message if isinstance(outcome, WasmInvalid) else _misfit(job, outcome)
        if reason is None:
            return True
        self._refused[_digest(job.wasm)] = reason
        self._report(job, reason)
        return False

    def _report(self, job: CompileJob, reason: str) -> None:
        _log.info("%s goes without lanes for bulk bytes: %s", job.path, reason)
        if self._bus is not None:
            self._bus.emit(CodeLanesRefused(plugin=job.plugin, path=job.path, reason=reason))


def _misfit(job: CompileJob, component: Any) -> str | None:
    try:
        unfit = unfit_lanes(component_shape(component), job.lanes)
    except WasmInvalid as error:
        return error.message
    return f"not of the contract's type: {', '.join(unfit)}" if unfit else None


def _digest(wasm: bytes) -> bytes:
    return hashlib.sha256(wasm).digest()
