"""The interface ``sidecar`` as plain Python: what guests ask for, and who answers.

:class:`NoSidecars` denies everything.
"""

from __future__ import annotations

import abc
from typing import NoReturn, Protocol

import msgspec

from stellatune_plugins.errors import PluginFailure


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
    """Decides on, and runs, what one plugin asks for; errors as for :class:`SidecarChannel`."""

    def launch(self, spec: LaunchSpec) -> SidecarProcess: ...

    def lock(self, name: str, timeout_ms: int | None) -> SidecarLockGuard: ...


class NoSidecars:
    """Denies everything."""

    def launch(self, spec: LaunchSpec) -> SidecarProcess:  # noqa: ARG002 - the service's signature
        return self._deny()

    def lock(self, name: str, timeout_ms: int | None) -> SidecarLockGuard:  # noqa: ARG002 - likewise
        return self._deny()

    @staticmethod
    def _deny() -> NoReturn:
        raise PluginFailure("denied", "sidecars are not available")
