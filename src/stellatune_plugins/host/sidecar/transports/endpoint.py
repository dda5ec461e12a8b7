"""One way to reach a sidecar, from before the process runs until after it ended.

The order of things: an endpoint is made, and whatever the sidecar needs of it (``environment``, ``inherited``,
``paths``) goes into the launch; the process is spawned; :meth:`Endpoint.started`; :meth:`Endpoint.open` as often as the
kind allows; :meth:`Endpoint.close`, which leaves neither a descriptor nor a file behind.
"""

from __future__ import annotations

import abc
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.budget import within
from stellatune_plugins.host.sidecar.interface import SidecarChannel
from stellatune_plugins.host.sidecar.transports.peer import ENDED, Peer
from stellatune_plugins.package.manifest import TransportKind

_STEP: Final = 0.002
"""Seconds between two looks for a sidecar that has not come yet."""


class Endpoint(abc.ABC):
    """The host's side of one transport for one purpose of one process. Methods may be called from any thread."""

    kind: TransportKind

    immediate = False
    """Whether it opens without the sidecar's doing, so that opening says nothing about the sidecar."""

    needs_network = False
    """Whether the sidecar must share the host's network namespace."""

    environment: Mapping[str, str] = MappingProxyType({})
    """Variables that the sidecar needs."""

    inherited: tuple[int, ...] = ()
    """Descriptors that the sidecar must get under the same numbers (``pass_fds``)."""

    paths: tuple[Path, ...] = ()
    """Files that the sidecar opens by the very same path, for reading and writing."""

    def __init__(self) -> None:
        self._peer: Peer | None = None
        self._closed = False

    def started(self, peer: Peer) -> None:
        """The process runs and has inherited what it should: the child's ends are closed here."""
        self._peer = peer

    def open(self, timeout: float) -> SidecarChannel:
        """The channel, once the sidecar has come.

        Raises:
            PluginFailure: ``timeout``; ``io`` where the sidecar ended, or the endpoint is closed meanwhile;
                ``unsupported`` where this kind opens only once.
        """
        end = time.monotonic() + within(timeout)
        while True:
            channel = self.try_open()
            if channel is not None:
                return channel
            if not self._live_peer().alive():
                raise PluginFailure("io", ENDED)
            left = end - time.monotonic()
            if left <= 0:
                raise PluginFailure("timeout", f"the sidecar did not connect by {self.kind}")
            time.sleep(min(_STEP, left))

    @abc.abstractmethod
    def try_open(self) -> SidecarChannel | None:
        """The channel if the sidecar is there by now. Never waits; errors as for :meth:`open`."""

    @abc.abstractmethod
    def close(self) -> None:
        """Nobody connects any more, and files are removed. Channels that are open stay so. May be called again."""

    def _live_peer(self) -> Peer:
        if self._closed:
            raise PluginFailure("io", "the sidecar's channels are closed")
        if self._peer is None:
            raise PluginFailure("internal", "the sidecar has not been started")
        return self._peer
