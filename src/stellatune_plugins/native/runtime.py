"""The native runtime: finds plugins through entry points and hands out what they serve."""

from __future__ import annotations

import importlib.metadata
import threading
import time
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint
from typing import Any, Final, cast

import msgspec

from stellatune_plugins.contract.capabilities import Decoder, Dsp, Lyrics, OutputSink, Source
from stellatune_plugins.errors import AbilityNotFound, NativePluginFailed
from stellatune_plugins.model import AbilityKind, PluginId, TypeId
from stellatune_plugins.native.records import NativePlugin, NativePluginUnavailable, NativeStatus, split_name
from stellatune_plugins.observe import EventBus
from stellatune_plugins.observe.events import NativePluginLoaded

GROUPS: Final = {kind: f"stellatune.{kind.manifest_name}" for kind in AbilityKind}
"""One entry-point group a capability: ``stellatune.output_sink``."""

_REQUIRED: Final = {
    AbilityKind.DECODER: ("open", "ext_scores", "wildcard_score"),
    AbilityKind.SOURCE: ("create",),
    AbilityKind.LYRICS: ("create",),
    AbilityKind.DSP: ("create",),
    AbilityKind.OUTPUT_SINK: ("create",),
}

_Key = tuple[AbilityKind, PluginId, TypeId]


def installed_entry_points(group: str) -> Iterable[EntryPoint]:
    """The entry points of every distribution that this Python sees."""
    return importlib.metadata.entry_points(group=group)


class NativeRuntime:
    """All native plugins of this Python. May be used by several threads.

    Finding them runs no plugin code. An entry point names a callable without arguments that gives the capability's
    object; it is called once, when somebody asks for it first.
    """

    def __init__(
        self,
        *,
        bus: EventBus | None = None,
        entry_points: Callable[[str], Iterable[EntryPoint]] = installed_entry_points,
    ) -> None:
        self._bus = bus or EventBus()
        self._lock = threading.RLock()
        self._entries: dict[_Key, EntryPoint] = {}
        self._records: dict[_Key, NativePlugin] = {}
        self._broken: list[NativePlugin] = []
        self._objects: dict[_Key, Any] = {}
        for kind, group in GROUPS.items():
            for entry in sorted(entry_points(group), key=lambda e: (e.name, e.value)):
                self._find(kind, entry)

    def records(self, kind: AbilityKind | None = None) -> tuple[NativePlugin, ...]:
        """What was found, of one kind or all, with what became of it so far."""
        with self._lock:
            everything = [*self._records.values(), *self._broken]
        return tuple(r for r in everything if kind is None or r.kind is kind)

    def load_all(self) -> tuple[NativePlugin, ...]:
        """Load every plugin that was not loaded yet; none of them can stop this. Gives all records."""
        for key in tuple(self._records):
            self._load(key)
        return self.records()

    def load(self, kind: AbilityKind, plugin_id: str, type_id: str | None = None) -> NativePlugin:
        """Load one plugin and give its record.

        Raises:
            AbilityNotFound: there is no such entry point.
        """
        return self._load(self._resolve(kind, plugin_id, type_id))

    def decoder(self, plugin_id: str, type_id: str | None = None) -> Decoder:
        """See :meth:`get`."""
        return cast("Decoder", self.get(AbilityKind.DECODER, plugin_id, type_id))

    def source(self, plugin_id: str, type_id: str | None = None) -> Source:
        """See :meth:`get`."""
        return cast("Source", self.get(AbilityKind.SOURCE, plugin_id, type_id))

    def lyrics(self, plugin_id: str, type_id: str | None = None) -> Lyrics:
        """See :meth:`get`."""
        return cast("Lyrics", self.get(AbilityKind.LYRICS, plugin_id, type_id))

    def dsp(self, plugin_id: str, type_id: str | None = None) -> Dsp:
        """See :meth:`get`."""
        return cast("Dsp", self.get(AbilityKind.DSP, plugin_id, type_id))

    def output_sink(self, plugin_id: str, type_id: str | None = None) -> OutputSink:
        """See :meth:`get`."""
        return cast("OutputSink", self.get(AbilityKind.OUTPUT_SINK, plugin_id, type_id))

    def ready(self, kind: AbilityKind) -> list[tuple[NativePlugin, Any]]:
        """Load every plugin of a kind; those that can serve, with their objects."""
        found = []
        for key in tuple(self._records):
            if key[0] is kind:
                record = self._load(key)
                if record.status is NativeStatus.READY:
                    found.append((record, self._objects[key]))
        return found

    def get(self, kind: AbilityKind, plugin_id: str, type_id: str | None = None) -> Any:
        """The capability's object, loaded where necessary; always the same one.

        Args:
            kind: which capability.
            plugin_id: the plugin's id.
            type_id: may be left out where the plugin has one ability of the kind.

        Raises:
            AbilityNotFound: there is no such entry point.
            NativePluginFailed: it is there and cannot be used; ``details['status']`` says which way.
        """
        key = self._resolve(kind, plugin_id, type_id)
        record = self._load(key)
        if record.status is not NativeStatus.READY:
            raise NativePluginFailed(
                record.detail or f"the plugin is {record.status}",
                plugin=plugin_id,
                capability=f"{kind}/{record.type_id}",
                operation="native.load",
                status=str(record.status),
            )
        return self._objects[key]

    def _find(self, kind: AbilityKind, entry: EntryPoint) -> None:
        record = NativePlugin(
            plugin_id=PluginId(entry.name),
            kind=kind,
            type_id=TypeId(""),
            entry=entry.value,
            distribution=entry.dist.name if entry.dist else None,
            version=entry.dist.version if entry.dist else None,
        )
        try:
            plugin_id, type_id = split_name(entry.name)
        except ValueError as error:
            self._broken.append(msgspec.structs.replace(record, status=NativeStatus.FAILED, detail=str(error)))
            return
        record = msgspec.structs.replace(record, plugin_id=plugin_id, type_id=type_id)
        key = (kind, plugin_id, type_id)
        if key not in self._records:
            self._entries[key] = entry
            self._records[key] = record
        elif self._records[key].entry != record.entry:  # the same distribution on two paths is no conflict
            detail = f"{self._records[key].entry} already serves {entry.name}"
            self._broken.append(msgspec.structs.replace(record, status=NativeStatus.FAILED, detail=detail))

    def _resolve(self, kind: AbilityKind, plugin_id: str, type_id: str | None) -> _Key:
        keys = [k for k in self._records if k[:2] == (kind, plugin_id) and type_id in {None, k[2]}]
        if len(keys) == 1:
            return keys[0]
        name = plugin_id if type_id is None else f"{plugin_id}/{type_id}"
        message = f"no native plugin serves {kind} {name}"
        if keys:
            message = f"{plugin_id} serves several {kind} types: " + ", ".join(k[2] for k in keys)
        raise AbilityNotFound(message, plugin=plugin_id, capability=str(kind), operation="native.find")

    def _load(self, key: _Key) -> NativePlugin:
        with self._lock:
            record = self._records[key]
            if record.status is not NativeStatus.FOUND:
                return record
            started = time.perf_counter()
            status, detail = NativeStatus.READY, None
            try:
                served = self._entries[key].load()()
                missing = [name for name in _REQUIRED[key[0]] if not callable(getattr(served, name, None))]
                if missing:
                    status, detail = NativeStatus.FAILED, "what it gives lacks " + ", ".join(missing)
                else:
                    self._objects[key] = served
            except NativePluginUnavailable as error:
                status, detail = NativeStatus.UNAVAILABLE, str(error)
            except ModuleNotFoundError as error:
                status, detail = NativeStatus.UNAVAILABLE, f"the Python package {error.name} is not installed"
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything, and must not stop the host
                status, detail = NativeStatus.FAILED, f"{type(error).__name__}: {error}"
            record = msgspec.structs.replace(record, status=status, detail=detail)
            self._records[key] = record
        self._bus.emit(
            NativePluginLoaded(
                plugin=record.plugin_id,
                status=str(status),
                detail=detail,
                seconds=time.perf_counter() - started,
            )
        )
        return record
