"""The ``sidecar`` interface as guests import it; what its functions do is the service's affair."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stellatune_plugins.engine.component import HostImports
from stellatune_plugins.engine.values import Some
from stellatune_plugins.executor.imports.answers import Answering, method
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


def add_sidecar(imports: HostImports, service: SidecarService, answering: Answering) -> None:
    """Define the whole interface for one instance."""
    imports.add_resource(SIDECAR, "process", SidecarProcess, close=method("close"))
    imports.add_resource(SIDECAR, "channel", SidecarChannel, close=method("close"))
    # Nobody waits in a lock that is held; and a guest that is on its way out may still rely on it.
    imports.add_resource(SIDECAR, "lock-guard", SidecarLockGuard, close=method("unlock"), waits=False)

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
        "[method]process.open-control": method("open_control"),
        "[method]process.open-data": open_data,
        "[method]process.wait-exit": wait_exit,
        "[method]process.terminate": method("terminate"),
        "[method]channel.write": method("write"),
        "[method]channel.read": read,
    }
    for name, function in fallible.items():
        imports.add(SIDECAR, name, answering(function))
    imports.add(SIDECAR, "[method]channel.transport", method("transport"))
    imports.add(SIDECAR, "[method]channel.close", method("close"))
    imports.add(SIDECAR, "[method]lock-guard.unlock", method("unlock"))


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
