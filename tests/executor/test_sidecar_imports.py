"""The sidecar interface reaches a service, and nothing else does."""

from __future__ import annotations

from typing import Any

import pytest

from stellatune_plugins.errors import GuestContract, GuestTrap, HostImportFailed, InstanceDead, PluginFailure
from stellatune_plugins.host.sidecar import (
    LaunchSpec,
    SidecarChannel,
    SidecarLockGuard,
    SidecarProcess,
    TransportWish,
)


class Channel(SidecarChannel):
    """Writes down what happens."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def transport(self) -> str:
        return "stdio"

    def write(self, data: bytes) -> int:
        return len(data)

    def read(self, max_bytes: int, timeout_ms: int | None) -> bytes:
        return b""

    def close(self) -> None:
        self.log.append("channel closed")


class Process(SidecarProcess):
    """Likewise."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def open_control(self) -> SidecarChannel:
        self.log.append("control opened")
        return Channel(self.log)

    def open_data(self, role: str, preferred: tuple[TransportWish, ...]) -> SidecarChannel:
        return Channel(self.log)

    def wait_exit(self, timeout_ms: int | None) -> int | None:
        return 0

    def terminate(self, grace_ms: int) -> None:
        self.log.append(f"terminated in {grace_ms}")

    def close(self) -> None:
        self.log.append("process closed")


class Guard(SidecarLockGuard):
    """Likewise."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def unlock(self) -> None:
        self.log.append("unlocked")


class Service:
    """Grants everything, or fails as it is told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.log: list[str] = []
        self.specs: list[LaunchSpec] = []
        self.error = error

    def launch(self, spec: LaunchSpec) -> SidecarProcess:
        if self.error is not None:
            raise self.error
        self.log.append(f"launches {spec.executable}")
        self.specs.append(spec)
        return Process(self.log)

    def lock(self, name: str, timeout_ms: int | None) -> SidecarLockGuard:
        self.log.append(f"locks {name} within {timeout_ms}")
        return Guard(self.log)


def test_a_service_is_all_it_takes(make_stage: Any) -> None:
    """Launch, open a channel, close it, terminate, drop: each arrives once and in order."""
    service = Service()
    with make_stage(sidecars=service).processor() as processor:
        processor.apply_config('{"sidecar": 1}')
    assert service.log == [
        "launches tool",
        "control opened",
        "channel closed",
        "channel closed",
        "terminated in 10",
        "process closed",
    ]
    assert service.specs == [LaunchSpec("instance", "tool", (), (), (), ())]


def test_locks_arrive(make_stage: Any) -> None:
    """With name and timeout; unlocking and letting go are the same."""
    service = Service()
    with make_stage(sidecars=service).processor() as processor:
        processor.apply_config('{"sidecar": 2}')
    assert service.log == ["locks name within 10", "unlocked", "unlocked"]


def test_a_services_refusal_reaches_the_guest(make_stage: Any) -> None:
    """With case and text, which this guest passes on."""
    stage = make_stage(sidecars=Service(PluginFailure("timeout", "it took too long")))
    with stage.processor() as processor, pytest.raises(PluginFailure, match="took too long") as caught:
        processor.apply_config('{"sidecar": 1}')
    assert caught.value.case == "timeout"


def test_a_defect_of_the_service_is_reported_after_the_call(make_stage: Any) -> None:
    """It does not pass through the guest; the cell is broken, and the cause is kept."""
    stage = make_stage(sidecars=Service(ZeroDivisionError("oops")))
    with stage.processor() as processor:
        with pytest.raises(HostImportFailed) as caught:
            processor.apply_config('{"sidecar": 1}')
        assert caught.value.operation == "config.apply"
        assert caught.value.__cause__ is not None
        with pytest.raises(InstanceDead):
            processor.output_channels()


def test_a_forged_handle_reaches_no_object(make_stage: Any) -> None:
    """A number that the host never gave stands for nothing."""
    service = Service()
    with (
        make_stage(sidecars=service).processor() as processor,
        pytest.raises((GuestTrap, GuestContract)),
    ):
        processor.apply_config('{"sidecar": 3}')
    assert service.log == []
