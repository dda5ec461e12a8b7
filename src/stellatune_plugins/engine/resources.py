"""Resources: guests' own, held by the host, and the host's, held by a guest.

Every host object that a guest holds sits in the instance's :class:`ResourceTable` under a number. Closing a Store does
not run the destructors of host resources, so the table is swept when the instance closes.
"""

from __future__ import annotations

import ctypes
import itertools
import weakref
from collections.abc import Callable, Container, Iterable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from stellatune_plugins.engine import component_capi as api
from stellatune_plugins.engine.codec.encode import Mismatch, describe
from stellatune_plugins.engine.wit_types import HandleTo
from stellatune_plugins.errors import GuestContract, InstanceDead

if TYPE_CHECKING:
    from stellatune_plugins.engine.component import ComponentInstance

_MOST_REPS: Final = 1 << 32


class HostResource(msgspec.Struct, frozen=True):
    """How the host serves one resource: the class of its objects, and what to do when the guest is done with one."""

    type: type
    close: Callable[[Any], None]
    waits: bool = True
    """Whether a call can wait in one, so that closing it from outside ends that."""


class ResourceTable:
    """The host's objects that one instance holds. Numbers go up and come round only after 2^32 others."""

    def __init__(self, *, most: int = 10_000, first: int = 1) -> None:
        self._most = most
        self._next = first
        self._held: dict[int, tuple[str, Any, Callable[[Any], None]]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def add(self, resource: str, value: Any, close: Callable[[Any], None]) -> int:
        """Take an object in; gives its number.

        Raises:
            GuestContract: the guest holds too many already.
        """
        if len(self._held) >= self._most:
            raise GuestContract(f"the guest holds more than {self._most} resources of the host")
        rep = self._next
        while rep in self._held:
            rep = (rep + 1) % _MOST_REPS
        self._next = (rep + 1) % _MOST_REPS
        self._held[rep] = (resource, value, close)
        return rep

    def get(self, resource: str, rep: int) -> Any:
        """The object under a number.

        Raises:
            GuestContract: there is none, or it is another resource.
        """
        entry = self._held.get(rep)
        if entry is None or entry[0] != resource:
            raise GuestContract(f"the guest passed a handle that is no {resource.rpartition('#')[2]}")
        return entry[1]

    def take(self, resource: str, rep: int) -> Any:
        """The same, and the table lets go of it."""
        value = self.get(resource, rep)
        del self._held[rep]
        return value

    def close(self, rep: int) -> None:
        """The guest dropped it: let go and close it. Unknown numbers are none of ours."""
        entry = self._held.pop(rep, None)
        if entry is not None:
            entry[2](entry[1])

    def discard(self, rep: int) -> None:
        """Let go without closing."""
        self._held.pop(rep, None)

    def interrupt(self, resources: Container[str]) -> list[BaseException]:
        """Close the objects of these resources, and keep them: whoever waits in one comes out. From any thread.

        They are closed again when the guest drops them or the table is swept, which they must bear.
        """
        failures: list[BaseException] = []
        for resource, value, close in list(self._held.values()):
            if resource not in resources:
                continue
            try:
                close(value)
            except Exception as error:  # noqa: BLE001 - all of them are reported, none stops the rest
                failures.append(error)
        return failures

    def sweep(self) -> list[BaseException]:
        """Close everything that is left, newest first; a close that raises does not stop the rest."""
        failures: list[BaseException] = []
        while self._held:
            _, (_, value, close) = self._held.popitem()
            try:
                close(value)
            except BaseException as error:  # noqa: BLE001 - all of them are reported, none stops the sweep
                failures.append(error)
        return failures


class AnyBox:
    """Owns one ``wasmtime_component_resource_any_t``: the box, not what the handle stands for."""

    __slots__ = ("address",)

    def __init__(self, address: int) -> None:
        self.address = address

    def __del__(self) -> None:
        api.resource_any_delete(self.address)


class GuestResource:
    """A resource that the guest defined and the host holds: a processor, a session, a catalogue.

    Pass it as ``self`` to the resource's methods, and :meth:`drop` it when done. Where it was forgotten, closing the
    instance drops it.
    """

    __slots__ = ("__weakref__", "_box", "_instance", "_serial", "interface", "name")

    _serials = itertools.count()

    def __init__(self, instance: ComponentInstance, resource: str, box: AnyBox) -> None:
        self._instance = instance
        self._box: AnyBox | None = box
        self._serial = next(self._serials)
        self.interface, _, self.name = resource.rpartition("#")

    @property
    def dropped(self) -> bool:
        """Whether it is gone: dropped, given back to the guest, or its instance is dead."""
        return self._box is None or not self._instance.alive

    def drop(self, *, deadline: float | None = None) -> None:
        """Give it up; the guest's destructor runs now. May be called again.

        Args:
            deadline: seconds for the destructor; the instance's own by default.

        Raises:
            GuestTrap, CallDeadline, HostImportFailed: the destructor failed, and the instance is dead.
        """
        box = self._let_go()
        if box is not None and self._instance.alive:
            self._instance.drop_box(f"drop of {self.name}", box, deadline)

    def _let_go(self) -> AnyBox | None:
        box, self._box = self._box, None
        self._instance.handles.forget(self._serial)
        return box

    def __repr__(self) -> str:
        return f"<GuestResource {self.name}{' (dropped)' if self.dropped else ''}>"


class _Move:
    """Notes that an argument takes a guest's resource away once the call goes ahead."""

    __slots__ = ("resource",)

    def __init__(self, resource: GuestResource) -> None:
        self.resource = resource


class _Lent:
    """Notes a host object that entered the table for an argument, and under which number."""

    __slots__ = ("box", "owned", "rep")

    def __init__(self, rep: int, box: AnyBox, *, owned: bool) -> None:
        self.rep = rep
        self.box = box
        self.owned = owned


class InstanceHandles:
    """The handle space of one instance: implements what codecs ask for."""

    def __init__(self, instance: ComponentInstance, hosts: dict[str, HostResource]) -> None:
        self._instance = weakref.ref(instance)
        self._hosts = hosts
        self._live: dict[int, AnyBox] = {}
        self.table = ResourceTable()

    def host_out(self, kind: HandleTo, value: Any, keep: list[Any]) -> int:
        """Put a host's object into the table and make a handle for it."""
        host = self._hosts.get(kind.resource)
        if host is None:
            raise Mismatch(f"the host serves no resource {kind}")
        if not isinstance(value, host.type):
            raise Mismatch(f"{describe(value)} where {host.type.__name__} is expected")
        rep = self.table.add(kind.resource, value, host.close)
        box = self._new_any(kind, rep)
        keep.extend((box, _Lent(rep, box, owned=kind.owned)))
        return box.address

    def _new_any(self, kind: HandleTo, rep: int) -> AnyBox:
        raw = api.resource_host_new(kind.owned, rep, resource_id(kind.resource))
        out = ctypes.c_void_p()
        error = api.resource_host_to_any(self._context(), raw, ctypes.addressof(out))
        api.resource_host_delete(raw)
        if error is not None or out.value is None:
            self.table.discard(rep)
            raise Mismatch(api.error_text(error) if error is not None else "wasmtime made no handle")
        return AnyBox(out.value)

    def host_in(self, kind: HandleTo, address: int) -> Any:
        """Find the host's object; an owned one leaves the table, and the caller is its owner from here on."""
        out = ctypes.c_void_p()
        # Turning the handle back also ends a borrow; without it the guest would trap on return.
        error = api.resource_any_to_host(self._context(), address, ctypes.addressof(out))
        if error is not None:
            raise GuestContract(api.error_text(error))
        rep = api.resource_host_rep(out.value)
        api.resource_host_delete(out.value)
        return (self.table.take if kind.owned else self.table.get)(kind.resource, rep)

    def guest_out(self, kind: HandleTo, value: Any, keep: list[Any]) -> int:
        """The handle of a guest's resource; an owned one moves away when the call goes ahead."""
        if value.__class__ is not GuestResource:
            raise Mismatch(f"{describe(value)} where the guest's {kind} is expected")
        box: AnyBox | None = value._box  # noqa: SLF001 - one module
        if value._instance is not self._instance():  # noqa: SLF001 - one module
            raise Mismatch(f"a {value.name} of another instance")
        if kind.resource != f"{value.interface}#{value.name}":
            raise Mismatch(f"a {value.name} where {kind} is expected")
        if box is None:
            raise Mismatch(f"the {value.name} was dropped")
        keep.append(box)
        if kind.owned:
            keep.append(_Move(value))
        return box.address

    def guest_in(self, kind: HandleTo, address: int) -> GuestResource:
        """An object for a guest's resource, with a box of its own."""
        instance = self._alive_instance()
        if not kind.owned:
            raise GuestContract(f"the guest lent its own {kind} to the host, which no contract of ours does")
        box = AnyBox(api.resource_any_clone(address))
        resource = GuestResource(instance, kind.resource, box)
        self._live[resource._serial] = box  # noqa: SLF001 - one module
        return resource

    def commit(self, keep: Iterable[Any]) -> None:
        """The call goes ahead: what moves has moved."""
        for item in keep:
            if item.__class__ is _Move:
                item.resource._let_go()  # noqa: SLF001 - one module

    def end_loans(self, keep: Iterable[Any]) -> None:
        """The call is over: objects that were only lent leave the table."""
        for item in keep:
            if item.__class__ is _Lent and not item.owned:
                self.table.discard(item.rep)

    def take_back(self, keep: Iterable[Any], *, close: bool = False) -> None:
        """The values do not go out: the host's objects among them leave the table, closed where nobody else will."""
        for item in keep:
            if item.__class__ is not _Lent:
                continue
            if close:
                self.table.close(item.rep)
            else:
                self.table.discard(item.rep)
            # Its destructor comes back into Python, where the number is unknown by now.
            instance = self._alive_instance()
            error = instance.guarded(api.resource_any_drop)(instance.store.context_address, item.box.address)
            if error is not None:
                api.error_delete(error)

    def interrupt(self) -> list[BaseException]:
        """Close what a call may be waiting in; gives what went wrong. From any thread."""
        return self.table.interrupt({name for name, host in self._hosts.items() if host.waits})

    def forget(self, serial: int) -> None:
        """A guest's resource was dropped or moved away."""
        self._live.pop(serial, None)

    def pop_live(self) -> AnyBox | None:
        """The newest guest resource that nobody dropped."""
        return self._live.popitem()[1] if self._live else None

    def clear(self) -> None:
        """Forget all guest resources."""
        self._live.clear()

    def _alive_instance(self) -> ComponentInstance:
        instance = self._instance()
        if instance is None:
            raise InstanceDead("the instance is gone")
        return instance

    def _context(self) -> int:
        return self._alive_instance().store.context_address


_ids: dict[str, int] = {}
_next_id = itertools.count(1)


def resource_id(resource: str) -> int:
    """The number by which wasmtime knows a host resource; the same name has the same number in one process."""
    return _ids.get(resource) or _ids.setdefault(resource, next(_next_id))
