"""A host that will be killed: starts the suite's child over a transport, says its id, and moves bytes for ever."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from stellatune_plugins.host.sidecar import SidecarChannel, TransportWish
from stellatune_plugins.host.sidecar.transports import ChannelPlan, PidPeer, Transports
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.testing.channels import CHILD


def main(kind: str, behaviour: str, folder: Path) -> None:
    """Never ends by itself."""
    plan = ChannelPlan(control=(TransportWish(kind, 1, None),))
    offer = Transports(plan, folder=folder, timeouts=HostTimeouts(), network=True)
    child = subprocess.Popen(
        [sys.executable, "-I", str(CHILD), behaviour],
        stdin=offer.stdin,
        stdout=offer.stdout,
        stderr=1,  # where it says that it has opened its channel
        pass_fds=offer.inherited,
        env={**os.environ, **offer.environment},
    )
    os.write(1, f"{child.pid}\n".encode())
    offer.started(PidPeer(child.pid))
    channel = offer.open_control()
    threading.Thread(target=read_on, args=(channel,)).start()
    while True:
        channel.write(bytes(65536))


def read_on(channel: SidecarChannel) -> None:
    """Likewise."""
    while True:
        channel.read(1 << 20, 1000)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
