"""The ``sidecar`` interface as guests import it; what its functions do is the service's affair."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stellatune_plugins.engine.component import HostImports
from stellatune_plugins.engine.values import Err, Ok, Some, Variant
from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.executor.names import SIDECAR
from stellatune_plugins.executor.results import optional
from stellatune_plugins.host.sidecar import (
    LaunchSpec,
    SidecarChannel,
    SidecarLockGuard,
    SidecarProcess,
    SidecarService,
    TransportWish,
)


def add_sidecar(imports: HostImports, service: SidecarService) -> None:
    """Define the whole interface for one instance ."""
    imports.add_resource(SIDECAR, "process", SidecarProcess, close=_method("close"))
    imports.add_resource(SIDECAR, "channel", SidecarChannel, close=_method("close"))
    imports.add_resource(SIDECAR, "lock-guard", SidecarLockGuard, close=_method("unlock"))

    def launch(spec: dict[str, Any]) -> SidecarProcess:
        return service.launch(_launch_spec(spec))

    def lock(name: str, timeout_ms: Any) -> SidecarLockGuard:
        return service.lock(name, optional(timeout_ms))

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
