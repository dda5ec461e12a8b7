"""Everything that one process is offered to speak by, and the choice among it when a channel is asked for."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.budget import within
from stellatune_plugins.host.sidecar.interface import SidecarChannel, TransportWish
from stellatune_plugins.host.sidecar.transports import negotiate
from stellatune_plugins.host.sidecar.transports.endpoint import Endpoint
from stellatune_plugins.host.sidecar.transports.given import GivenEndpoint, GivenRules
from stellatune_plugins.host.sidecar.transports.loopback_tcp import LoopbackTcpEndpoint
from stellatune_plugins.host.sidecar.transports.named_pipe import NamedPipeEndpoint
from stellatune_plugins.host.sidecar.transports.negotiate import CONTROL, Purpose
from stellatune_plugins.host.sidecar.transports.peer import ENDED, Peer
from stellatune_plugins.host.sidecar.transports.shared_memory_ring import SharedMemoryRingEndpoint
from stellatune_plugins.host.sidecar.transports.stdio import StdioEndpoint
from stellatune_plugins.host.sidecar.transports.unix_socket import UnixSocketEndpoint
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.package.manifest import TransportKind

_NOTHING_GIVEN: Final = GivenRules()
_STEP: Final = 0.002
_MOST: Final = 24
"""Endpoints of one process."""
_MOST_RING_BYTES: Final = 256 * 1024 * 1024
"""Of all its rings in one direction: their memory is the host's, and set aside at once."""


class ChannelPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a launch says about channels, nothing of it checked."""

    control: tuple[TransportWish, ...] = ()
    data: tuple[TransportWish, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    """The plugin's own variables, which may name endpoints that the sidecar makes, or ask for one for a role."""


class Transports:
    """The endpoints of one process.

    Args:
        plan: what was asked for.
        folder: a private folder (mode 0700, a short path) that exists, for sockets and pipes; the sidecar sees it under
            the same path. It belongs to the caller, who removes it after :meth:`close`.
        timeouts: how long channels wait.
        network: whether the sidecar shares the host's network namespace; ``loopback-tcp`` is not offered without.
        given: which endpoints of the sidecar's own making the host connects to.

    Raises:
        PluginFailure: ``invalid-arg`` for a plan that makes no sense, ``io`` where an endpoint cannot be made. Nothing
            is left behind then.
    """

    def __init__(
        self,
        plan: ChannelPlan,
        *,
        folder: Path,
        timeouts: HostTimeouts,
        network: bool = False,
        given: GivenRules = _NOTHING_GIVEN,
    ) -> None:
        self._plan = plan
        self._timeouts = timeouts
        self._stdio = StdioEndpoint(timeouts)
        self._offered: dict[tuple[Purpose, TransportKind], Endpoint] = {}
        self._ring_bytes = 0
        self._closed = False
        self._peer: Peer | None = None
        try:
            for purpose, kinds in _wanted(plan):
                for kind in kinds:
                    self._offer(purpose, kind, folder, given, network=network)
        except BaseException:
            self.close()
            raise

    def _offer(self, purpose: Purpose, kind: TransportKind, folder: Path, given: GivenRules, *, network: bool) -> None:
        if kind is TransportKind.STDIO or (kind is TransportKind.LOOPBACK_TCP and not network):
            return
        if len(self._offered) >= _MOST:
            raise PluginFailure("invalid-arg", f"more than {_MOST} endpoints for one sidecar")
        text = negotiate.given(self._plan.env, purpose, kind)
        # Rings are the host's own in any case: memory that somebody else made could be taken away under its feet.
        if text and kind is not TransportKind.SHARED_MEMORY_RING:
            self._offered[purpose, kind] = GivenEndpoint(kind, text, given, self._timeouts)
            return
        frame_bytes = negotiate.frame_bytes(self._plan.data if purpose.data else self._plan.control, kind)
        if kind is TransportKind.SHARED_MEMORY_RING:
            self._ring_bytes += negotiate.ring_capacity(frame_bytes)
            if self._ring_bytes > _MOST_RING_BYTES:
                raise PluginFailure("invalid-arg", f"rings of more than {_MOST_RING_BYTES >> 20} MiB for one sidecar")
        self._offered[purpose, kind] = make_endpoint(kind, purpose, folder, self._timeouts, frame_bytes)

    @property
    def stdin(self) -> int:
        """The child's end, to be passed as its standard input; closed by :meth:`started`."""
        return self._stdio.stdin

    @property
    def stdout(self) -> int:
        """Likewise its standard output."""
        return self._stdio.stdout

    @property
    def environment(self) -> dict[str, str]:
        """What the sidecar's environment needs; to be laid over the plugin's own."""
        variables: dict[str, str] = {}
        made = {key: endpoint for key, endpoint in self._offered.items() if not isinstance(endpoint, GivenEndpoint)}
        for endpoint in made.values():
            variables.update(endpoint.environment)
        orders = {CONTROL: negotiate.control_order(self._plan.control)}
        orders.update(
            {purpose: negotiate.data_order((), self._plan.data) for purpose, _ in self._offered if purpose.data}
        )
        for purpose, kinds in orders.items():
            there = [k for k in kinds if k is TransportKind.STDIO or (purpose, k) in made]
            there += [k for p, k in made if p == purpose and k not in there]
            variables[purpose.variable] = ",".join(there)
        return variables

    @property
    def inherited(self) -> tuple[int, ...]:
        """Descriptors that the sidecar must get under the same numbers."""
        return tuple(fd for endpoint in self._offered.values() for fd in endpoint.inherited)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Files below the private folder that the sidecar opens."""
        return tuple(path for endpoint in self._offered.values() for path in endpoint.paths)

    def started(self, peer: Peer) -> None:
        """The process was spawned with all of this; closes the child's ends."""
        self._peer = peer
        for endpoint in (self._stdio, *self._offered.values()):
            endpoint.started(peer)

    def open_control(self) -> SidecarChannel:
        """The control channel: by priority, stdio as the last resort.

        Raises:
            PluginFailure: ``timeout``, ``io``, ``invalid-arg``.
        """
        return self._open(CONTROL, negotiate.control_order(self._plan.control))

    def open_data(self, role: str, preferred: Sequence[TransportWish] = ()) -> SidecarChannel:
        """A data channel; errors as above, and ``unsupported`` where nothing of what is asked for was offered."""
        negotiate.check_role(role)
        return self._open(Purpose(data=True, role=role.strip()), negotiate.data_order(preferred, self._plan.data))

    def close_stdin(self) -> None:
        """Asks the sidecar to stop. May be called again."""
        self._stdio.close_stdin()

    def ended(self) -> None:
        """The process is gone: no endpoint or file is left, yet what it said on stdout is there until :meth:`close`."""
        with contextlib.ExitStack() as stack:
            for endpoint in self._offered.values():
                stack.callback(endpoint.close)
            stack.callback(self._stdio.close_stdin)

    def close(self) -> None:
        """No endpoint or file is left, and stdio ends; other open channels are their owners'. May be called again."""
        self._closed = True
        with contextlib.ExitStack() as stack:
            for endpoint in (self._stdio, *self._offered.values()):
                stack.callback(endpoint.close)

    def _open(self, purpose: Purpose, order: Sequence[TransportKind]) -> SidecarChannel:
        """Whichever endpoint opens first; among those that are ready at once, the earlier in the order.

        One that opens without the sidecar's doing (a ring, stdio) says nothing about what the sidecar listens to, so
        it only counts once everything before it had its time. A sidecar that speaks on stdout has chosen stdio.
        """
        candidates = [endpoint for kind in order if (endpoint := self._endpoint(purpose, kind)) is not None]
        if not candidates:
            raise PluginFailure("unsupported", f"no transport of {', '.join(order)} was offered to the sidecar")
        refusals: list[PluginFailure] = []
        end = time.monotonic() + within(self._timeouts.open_channel)
        while candidates:
            over = time.monotonic() >= end
            for endpoint in list(candidates):
                chosen = endpoint is candidates[0] or over or self._stdio.spoken_on(endpoint)
                if endpoint.immediate and not chosen:
                    continue
                try:
                    channel = endpoint.try_open()
                except PluginFailure as refusal:
                    refusals.append(refusal)
                    candidates.remove(endpoint)
                    continue
                if channel is not None:
                    return channel
            if over:
                raise PluginFailure(
                    "timeout", f"the sidecar did not connect by {', '.join(c.kind for c in candidates)}"
                )
            if candidates and self._gone():
                raise PluginFailure("io", ENDED)
            time.sleep(min(_STEP, max(0.0, end - time.monotonic())))
        raise refusals[0]

    def _endpoint(self, purpose: Purpose, kind: TransportKind) -> Endpoint | None:
        if kind is TransportKind.STDIO:
            return self._stdio
        exact = next((e for (p, k), e in self._offered.items() if k is kind and p.variable == purpose.variable), None)
        return exact or (self._offered.get((Purpose(data=True), kind)) if purpose.data else None)

    def _gone(self) -> bool:
        return self._closed or (self._peer is not None and not self._peer.alive())


def make_endpoint(
    kind: TransportKind, purpose: Purpose, folder: Path, timeouts: HostTimeouts, max_frame_bytes: int | None = None
) -> Endpoint:
    """An endpoint of any kind but stdio, of which a process has one."""
    if kind is TransportKind.UNIX_SOCKET:
        return UnixSocketEndpoint(purpose, folder, timeouts)
    if kind is TransportKind.NAMED_PIPE:
        return NamedPipeEndpoint(purpose, folder, timeouts)
    if kind is TransportKind.LOOPBACK_TCP:
        return LoopbackTcpEndpoint(purpose, timeouts)
    if kind is TransportKind.SHARED_MEMORY_RING:
        return SharedMemoryRingEndpoint(purpose, timeouts, negotiate.ring_capacity(max_frame_bytes))
    raise ValueError(f"{kind} is no endpoint of its own")


def _wanted(plan: ChannelPlan) -> Iterable[tuple[Purpose, tuple[TransportKind, ...]]]:
    yield CONTROL, negotiate.by_priority(plan.control)
    yield Purpose(data=True), negotiate.by_priority(plan.data)
    for role, kind in dict.fromkeys((role, kind) for role, kind, _ in negotiate.named_roles(plan.env)):
        yield Purpose(data=True, role=role), (kind,)
