"""Sidecars for tests of channels: a real child process behind each transport."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from stellatune_plugins.host.sidecar import TransportWish
from stellatune_plugins.host.sidecar.transports import ChannelPlan, GivenRules, PidPeer, Transports
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.package.manifest import TransportKind
from stellatune_plugins.testing.channels import CHILD, ChannelRig


@contextlib.contextmanager
def spawned(
    plan: ChannelPlan, command: list[str], timeouts: HostTimeouts | None = None, given: GivenRules | None = None
) -> Iterator[tuple[Transports, subprocess.Popen[bytes]]]:
    """A process that is offered what the plan says."""
    with tempfile.TemporaryDirectory(prefix="st-") as folder, contextlib.ExitStack() as stack:
        offer = Transports(
            plan,
            folder=Path(folder),
            timeouts=timeouts or HostTimeouts(),
            network=True,
            given=given or GivenRules(),
        )
        stack.callback(offer.close)
        child = subprocess.Popen(
            command,
            stdin=offer.stdin,
            stdout=offer.stdout,
            pass_fds=offer.inherited,
            env={**os.environ, **offer.environment},
        )
        stack.callback(child.wait)
        stack.callback(child.kill)
        peer = PidPeer(child.pid)
        stack.callback(peer.close)
        offer.started(peer)
        yield offer, child
        stack.close()
        assert not list(Path(folder).iterdir()), "files were left behind"


@contextlib.contextmanager
def make_rig(kind: TransportKind, behaviour: str, timeouts: HostTimeouts) -> Iterator[ChannelRig]:
    """The suite's child behind a control channel of the kind."""
    plan = ChannelPlan(control=(TransportWish(kind.value, 1, None),))
    with spawned(plan, [sys.executable, "-I", str(CHILD), behaviour], timeouts) as (offer, child):
        channel = offer.open_control()
        assert channel.transport() == kind
        try:
            yield ChannelRig(channel, child)
        finally:
            channel.close()
