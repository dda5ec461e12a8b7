"""The sidecar that the channel suite speaks with: ``python -I channel_child.py BEHAVIOUR [ROLE]``.

With a role it opens that data channel, else the control channel.

- ``echo``: sends back what comes, until the end.
- ``hold``: takes nothing and says nothing, until the end.
- ``speak:N``: sends N bytes of :func:`pattern`, then exits.
- ``pour``: sends and takes as much as it can, until the end.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time

from stellatune_plugins.sdk.sidecar import Channel, Ended, host_gone, open_control, open_data


def pattern(count: int) -> bytes:
    """Bytes whose place can be told from their values."""
    return b"".join(number.to_bytes(4, "little") for number in range(count // 4 + 1))[:count]


def main(behaviour: str, role: str | None) -> None:
    """Behave until the host is gone."""
    channel = open_control() if role is None else open_data(role)
    with contextlib.suppress(Ended):
        _behave(behaviour, channel)


def _behave(behaviour: str, channel: Channel) -> None:
    word, _, number = behaviour.partition(":")
    if word == "speak":
        channel.write(pattern(int(number)))
    elif word == "echo":
        while True:
            channel.write(channel.read(1 << 20))
    elif word == "hold":
        while not host_gone():
            time.sleep(0.01)
    elif word == "pour":
        threading.Thread(target=_swallow, args=(channel,), daemon=True).start()
        while True:
            channel.write(bytes(65536))


def _swallow(channel: Channel) -> None:
    try:
        while True:
            channel.read(1 << 20)
    except Ended:
        os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
