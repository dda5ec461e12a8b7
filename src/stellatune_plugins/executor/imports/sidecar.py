"""The ``sidecar`` interface as guests import it, and the seam behind which helper processes are run.

The functions are always there, so that every component instantiates. What they do is the service's affair;
:class:`NoSidecars` denies everything.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

import msgspec

from stellatune_plugins.engine.component import HostImports
from stellatune_plugins.engine.values import Err, Ok, Some, Variant
from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.executor.names import SIDECAR
from stellatune_plugins.executor.results import optional


class TransportWish(msgspec.Struct, frozen=True):
    """WIT ``sidecar.transport-option``: kinds as WIT names them; the highest priority is tried first."""

    kind: str
    priority: int
    max_frame_bytes: int | None


class LaunchSpec(msgspec.Struct, frozen=True):
    """WIT ``sidecar.launch-spec``, as the guest wrote it: nothing in it is checked yet."""

    scope: str
    executable: str
    args: tuple[str, ...]
    preferred_control: tuple[TransportWish, ...]
    preferred_data: tuple[TransportWish, ...]
    env: tuple[tuple[str, str], ...]


class SidecarChannel(abc.ABC):
    """WIT resource ``channel``. Methods answer an error by raising :class:`PluginFailure` with the case to answer."""

    @abc.abstractmethod
    def transport(self) -> str: ...

    @abc.abstractmethod
    def write(self, data: bytes) -> int: ...

    @abc.abstractmethod
    def read(self, max_bytes: int, timeout_ms: int | None) -> bytes: ...

    @abc.abstractmethod
    def close(self) -> None:
        """May be called again."""


class SidecarProcess(abc.ABC):
    """WIT resource ``process``; errors as for :class:`SidecarChannel`."""

    @abc.abstractmethod
    def open_control(self) -> SidecarChannel: ...

    @abc.abstractmethod
    def open_data(self, role: str, preferred: tuple[TransportWish, ...]) -> SidecarChannel: ...

    @abc.abstractmethod
    def wait_exit(self, timeout_ms: int | None) -> int | None: ...

    @abc.abstractmethod
    def terminate(self, grace_ms: int) -> None: ...

    @abc.abstractmethod
    def close(self) -> None:
        """The guest let go of it. May be called again."""


class SidecarLockGuard(abc.ABC):
    """WIT resource ``lock-guard``."""

    @abc.abstractmethod
    def unlock(self) -> None:
        """May be called again; letting go of the guard does the same."""


class SidecarService(Protocol):
    """Decides on, and runs, what a plugin asks for; errors as for :class:`SidecarChannel`."""

    def launch(self, plugin: str, spec: LaunchSpec) -> SidecarProcess: ...

    def lock(self, plugin: str, name: str, timeout_ms: int | None) -> SidecarLockGuard: ...


class NoSidecars:
    """Denies everything."""

    def launch(self, plugin: str, spec: LaunchSpec) -> SidecarProcess:  # noqa: ARG002 - the service's signature
        return self._deny()

    def lock(self, plugin: str, name: str, timeout_ms: int | None) -> SidecarLockGuard:  # noqa: ARG002 - likewise
        return self._deny()

    @staticmethod
    def _deny() -> NoReturn:
        raise PluginFailure("denied", "sidecars are not available")


def add_sidecar(imports: HostImports, service: SidecarService, plugin: str) -> None:
    """Define the whole interface for one instance of a plugin."""
    imports.add_resource(SIDECAR, "process", SidecarProcess, close=_method("close"))
    imports.add_resource(SIDECAR, "channel", SidecarChannel, close=_method("close"))
    imports.add_resource(SIDECAR, "lock-guard", SidecarLockGuard, close=_method("unlock"))

    def launch(spec: dict[str, Any]) -> SidecarProcess:
        return service.launch(plugin, _launch_spec(spec))

    def lock(name: str, timeout_ms: Any) -> SidecarLockGuard:
        return service.lock(plugin, name, optional(timeout_ms))

    def open_data(process: SidecarProcess, role: str, preferred: list[Any]) -> SidecarChannel:
        return process.open_data(role, _wishes(preferred))

    def wait_exit(process: SidecarProcess, timeout_ms: Any) -> Some | None:
        code = process.wait_exit(optional(timeout_ms))
        return None if code is None else Some(code)

    def read(channel: SidecarChannel, max_bytes: int, timeout_ms: Any) -> bytes:
        # Whatever the service gives, the guest never gets more than it asked for.
        return channel.read(max_bytes, optional(timeout_ms))[:max_bytes]

    fallible: dict[str, Callable[..., Any]] = {
        "launch": launch,
        "lock": lock,
        "[method]process.open-control": _method("open_control"),
        "[method]process.open-data": open_data,
        "[method]process.wait-exit": wait_exit,
        "[method]process.terminate": _method("terminate"),
        "[method]channel.write": _method("write"),
        "[method]channel.read": read,
    }
    for name, function in fallible.items():
        imports.add(SIDECAR, name, _answering(function))
    imports.add(SIDECAR, "[method]channel.transport", _method("transport"))
    imports.add(SIDECAR, "[method]channel.close", _method("close"))
    imports.add(SIDECAR, "[method]lock-guard.unlock", _method("unlock"))


def _answering(function: Callable[..., Any]) -> Callable[..., Ok | Err]:
    """The function with its answer as a WIT result. Anything but a PluginFailure is the engine's to keep aside."""

    def answer(*args: Any) -> Ok | Err:
        try:
            return Ok(function(*args))
        except PluginFailure as failure:
            text = failure.message.removeprefix(failure.case).removeprefix(": ")
            return Err(Variant(failure.case, text))

    return answer


def _method(name: str) -> Callable[..., Any]:
    """Calls the object's own method: the one of the abstract class does nothing."""

    def call(target: Any, *args: Any) -> Any:
        return getattr(target, name)(*args)

    return call


def _launch_spec(record: dict[str, Any]) -> LaunchSpec:
    return LaunchSpec(
        scope=record["scope"],
        executable=record["executable"],
        args=tuple(record["args"]),
        preferred_control=_wishes(record["preferred-control"]),
        preferred_data=_wishes(record["preferred-data"]),
        env=tuple((name, value) for name, value in record["env"]),
    )


def _wishes(records: list[Any]) -> tuple[TransportWish, ...]:
    return tuple(TransportWish(r["kind"], r["priority"], optional(r["max-frame-bytes"])) for r in records)
