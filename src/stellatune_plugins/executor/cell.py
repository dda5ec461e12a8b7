"""A cell: one component instance in a Store of its own, and everything that lives and dies with it."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

from stellatune_plugins.engine.component import ComponentInstance
from stellatune_plugins.engine.function import GuestFunction
from stellatune_plugins.engine.resources import GuestResource
from stellatune_plugins.engine.store import GuestStore
from stellatune_plugins.errors import (
    CallDeadline,
    ConfigRejected,
    GuestTrap,
    HookFailed,
    InstanceDead,
    PluginFailure,
    StellatuneError,
    StoreMisuse,
    ValueInvalid,
)
from stellatune_plugins.executor.component import LoadedComponent
from stellatune_plugins.executor.environment import Environment
from stellatune_plugins.executor.imports import host_imports
from stellatune_plugins.executor.names import LIFECYCLE
from stellatune_plugins.executor.output import GuestLines
from stellatune_plugins.executor.results import unwrap
from stellatune_plugins.executor.states import CellState
from stellatune_plugins.executor.turn import Turn
from stellatune_plugins.host import budget
from stellatune_plugins.host.services import PluginServices
from stellatune_plugins.model import DisableReason
from stellatune_plugins.observe.events import CallDeadlineExceeded, GuestTrapped, PluginFailed
from stellatune_plugins.package.authority import denial_hint

_log = logging.getLogger(__name__)

HARMLESS = (PluginFailure, ConfigRejected, ValueInvalid, StoreMisuse)
"""Errors after which the guest is as sound as before: its own answers, and mistakes of the caller."""


class BoundedCall:
    """A guest's function that ends in time with all that it waits for.

    Imports that the call reaches give up before it does (:mod:`stellatune_plugins.host.budget`). Where the call is
    made on behalf of another guest, whose import led here, it ends before that guest's call does.
    """

    __slots__ = ("_function",)

    def __init__(self, function: GuestFunction) -> None:
        self._function = function

    def __call__(self, *args: Any, deadline: float) -> Any:
        seconds = budget.within(deadline)
        with budget.limited(seconds):
            return self._function(*args, deadline=seconds)


class Cell:
    """Owns a Store, a component instance, the resources that the host gave it, and the lock to all of them.

    A cell that trapped, ran out of time, broke the contract or met an unexpected error is broken: what it holds is
    freed there and then, and it is never used again. Nobody gets a cell whose ``on-enable`` has not succeeded.

    Args:
        component: what to instantiate.
        env: limits, deadlines, events.
        services: what its imports reach.

    Raises:
        HookFailed: ``on-enable`` failed; the cause says how.
        StellatuneError: it could not be instantiated.
    """

    def __init__(self, component: LoadedComponent, env: Environment, services: PluginServices) -> None:
        self.component = component
        self.deadlines = env.deadlines
        self.state = CellState.STARTING
        self.broken_by: StellatuneError | None = None
        self._bus = env.bus
        self._services = services
        self._clock = env.clock
        self._close_on_leaving = False
        self._stopping = threading.Event()
        label = f"{component.plugin}/{component.ref.id}"
        self._turn = Turn(f"the cell of {label}")
        self._lines = GuestLines(env.bus, component.plugin)
        self._store = GuestStore(env.engine, env.limits, label=label)
        try:
            with self._observed("activate"), budget.limited(env.deadlines.activation):
                self._instance = ComponentInstance(
                    self._store,
                    component.code,
                    host_imports(services, component.ref.world, self._stopping.is_set),
                    label=label,
                    deadline=env.deadlines.activation,
                    on_output=self._lines.collect,
                )
        except BaseException:
            self.state = CellState.CLOSED
            self._lines.flush(final=True)
            self._store.close()
            raise
        self._enable()

    def function(self, interface: str, name: str) -> BoundedCall:
        """An exported function, to be called within :meth:`entered` only."""
        return BoundedCall(self._instance.function(interface, name))

    def drop(self, resource: GuestResource) -> None:
        """Let go of one of the guest's resources; its destructor runs. Within :meth:`entered` only."""
        seconds = budget.within(self.deadlines.drop)
        with budget.limited(seconds):
            resource.drop(deadline=seconds)

    def interrupt(self) -> None:
        """From another thread, and only on the way to the end: close what the guest has of the host's.

        A call that waits in one of the host's streams or channels comes back at once, and until :meth:`close` has the
        cell to itself, no import begins anything new.
        """
        self._stopping.set()
        self._instance.interrupt()

    @contextlib.contextmanager
    def entered(self, operation: str) -> Iterator[None]:
        """Use the cell for one operation; an error that leaves this block is judged, and may break the cell.

        Raises:
            StoreMisuse: another thread is inside.
            InstanceDead: the cell is broken or closed.
        """
        with self._turn.taken(operation):
            self._require(CellState.READY, operation)
            try:
                with self._observed(operation):
                    yield
            finally:
                if self._close_on_leaving:
                    self._free()

    def close(self, reason: DisableReason) -> tuple[StellatuneError, ...]:
        """Run ``on-disable`` where the guest is sound, then free everything. May be called again.

        Returns:
            What went wrong on the way: the cell is gone all the same.
        """
        with self._turn.awaited(self.deadlines.wait) as held:
            if not held:
                return self._leave_to_the_caller_inside()
            self._stopping.clear()  # on-disable may have something to put away
            failures = self._disable(reason) if self.state is CellState.READY else ()
            self._free()
            return failures

    # --- the two hooks --------------------------------------------------------------------------------------------

    def _enable(self) -> None:
        operation = "lifecycle.on-enable"
        try:
            with self._observed(operation):
                unwrap(self.function(LIFECYCLE, "on-enable")(deadline=self.deadlines.on_enable))
        except StellatuneError as error:
            self._free()
            raise self._hook_failed(operation, error) from error
        except BaseException:
            self._free()
            raise
        self.state = CellState.READY

    def _disable(self, reason: DisableReason) -> tuple[StellatuneError, ...]:
        operation = "lifecycle.on-disable"
        try:
            with self._observed(operation):
                unwrap(self.function(LIFECYCLE, "on-disable")(str(reason), deadline=self.deadlines.on_disable))
        except StellatuneError as error:
            failure = self._hook_failed(operation, error)
            failure.__cause__ = error
            return (failure,)
        return ()

    def _hook_failed(self, operation: str, error: StellatuneError) -> HookFailed:
        failure = HookFailed(
            f"the hook failed: {error.message}",
            plugin=self.component.plugin,
            component=self.component.ref.id,
            operation=operation,
            hint=error.hint if _is_denial(error) else None,
            because=error.code,
            **({"grant": error.details["grant"]} if _is_denial(error) and "grant" in error.details else {}),
        )
        self._bus.emit(
            PluginFailed(plugin=self.component.plugin, operation=operation, code=failure.code, message=failure.message)
        )
        return failure

    # --- judging --------------------------------------------------------------------------------------------------

    def _require(self, wanted: CellState, operation: str) -> None:
        if self.state is wanted:
            return
        because = self.broken_by.code if self.broken_by else None
        raise InstanceDead(
            f"the instance ended: {because}" if because else "the instance was closed",
            plugin=self.component.plugin,
            component=self.component.ref.id,
            operation=operation,
            because=because,
        )

    @contextlib.contextmanager
    def _observed(self, operation: str) -> Iterator[None]:
        """Complete, report and judge what goes wrong."""
        started, entered = self._clock(), time.monotonic()
        try:
            yield
        except HARMLESS as error:
            self._name(error, operation)
            if _is_denial(error):
                # The plugin's words are its own; what it was denied, and what would allow it, the host knows better.
                denial = self._services.denied_since(entered)
                if denial is not None:
                    error.hint = denial_hint(denial.plugin, denial.grant)
                    error.details["grant"] = denial.grant
            if self.state is CellState.READY and not self._instance.alive:
                self._break(error)
            raise
        except StellatuneError as error:
            self._name(error, operation)
            self._report(error, operation, self._clock() - started)
            self._break(error)
            raise
        except Exception as error:
            wrapped = StellatuneError(
                f"an unexpected error: {type(error).__name__}: {error}",
                plugin=self.component.plugin,
                component=self.component.ref.id,
                operation=operation,
            )
            self._break(wrapped)
            raise wrapped from error
        except BaseException as error:
            # An interrupt may have come at any point of the call, so nobody knows in which state the guest is.
            self._break(StellatuneError(f"interrupted by {type(error).__name__}", operation=operation))
            raise
        finally:
            self._lines.flush()

    def _name(self, error: StellatuneError, operation: str) -> None:
        """Say where it happened, in the executor's words; the engine's name of the function goes into the details."""
        error.at(plugin=self.component.plugin, component=self.component.ref.id)
        if error.operation not in {None, operation}:
            error.details.setdefault("function", error.operation)
        error.operation = operation

    def _report(self, error: StellatuneError, operation: str, seconds: float) -> None:
        plugin, component = self.component.plugin, self.component.ref.id
        if isinstance(error, CallDeadline):
            self._bus.emit(
                CallDeadlineExceeded(plugin=plugin, component=component, operation=operation, seconds=seconds)
            )
        elif isinstance(error, GuestTrap):
            trap = str(error.details.get("trap", "unknown"))
            self._bus.emit(GuestTrapped(plugin=plugin, component=component, operation=operation, trap=trap))

    def _break(self, error: StellatuneError) -> None:
        """Free the guest at once: a broken one may hold hundreds of megabytes."""
        if self.state is CellState.READY:
            self.state = CellState.BROKEN
            self.broken_by = error
            self._release()

    # --- the end --------------------------------------------------------------------------------------------------

    def _leave_to_the_caller_inside(self) -> tuple[StellatuneError, ...]:
        # A call that does not end sits in one of the host's own imports: epochs stop guests. Its Store cannot be
        # freed under it, so the thread that is inside does it when it comes out.
        self._close_on_leaving = True
        with self._turn.awaited(0) as held:
            if held:
                self._free()
                return ()
        return (
            StoreMisuse(
                "a call is still running; its cell is freed when it ends",
                plugin=self.component.plugin,
                component=self.component.ref.id,
                operation="close",
            ),
        )

    def _free(self) -> None:
        if self.state is CellState.CLOSED:
            return
        broken = self.state is CellState.BROKEN
        self.state = CellState.CLOSED
        if not broken:
            self._release()

    def _release(self) -> None:
        """The instance with its resources first, then the Store that they live in, then the guest's last words."""
        for step in (self._instance.close, self._store.close):
            try:
                with budget.limited(self.deadlines.drop):
                    step()
            except StellatuneError:
                _log.exception("freeing a cell of %s failed", self.component.plugin)
        for failure in self._instance.close_failures:
            _log.warning("closing a resource of %s failed: %s", self.component.plugin, failure)
        self._lines.flush(final=True)


def _is_denial(error: StellatuneError) -> bool:
    return isinstance(error, PluginFailure) and error.case == "denied"
