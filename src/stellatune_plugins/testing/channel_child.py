"""The sidecar that the channel suite speaks with: ``python -I channel_child.py BEHAVIOUR [ROLE]``.

With a role it opens that data channel, else the control channel; then it writes ``open`` to stderr.

- ``echo``: sends back what comes, until the end.
- ``hold``: takes nothing and says nothing, until the end.
- ``speak:N``: sends N bytes of :func:`pattern`, then exits.
- ``pour``: sends and takes as much as it can, until the end.
- ``stream``: sends as much as it can, until the end.
- ``drain``: takes as much as it can, until the end.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time

from stellatune_plugins.sdk.sidecar import Channel, Ended, host_gone, open_control, open_data

_AT_ONCE = 256 * 1024


def pattern(count: int) -> bytes:
    """Bytes whose place can be told from their values."""
    return b"".join(number.to_bytes(4, "little") for number in range(count // 4 + 1))[:count]


def main(behaviour: str, role: str | None) -> None:
    """Behave until the host is gone."""
    channel = open_control() if role is None else open_data(role)
    sys.stderr.write("open\n")
    with contextlib.suppress(Ended):
        _behave(behaviour, channel)


def _behave(behaviour: str, channel: Channel) -> None:
    word, _, number = behaviour.partition(":")
    _BEHAVIOURS[word](channel, int(number or 0))


def _speak(channel: Channel, count: int) -> None:
    channel.write(pattern(count))


def _echo(channel: Channel, _count: int) -> None:
    while True:
        channel.write(channel.read(_AT_ONCE))


def _hold(_channel: Channel, _count: int) -> None:
    while not host_gone():
        time.sleep(0.01)


def _pour(channel: Channel, _count: int) -> None:
    threading.Thread(target=_swallow, args=(channel,), daemon=True).start()
    _stream(channel, 0)


def _stream(channel: Channel, _count: int) -> None:
    block = bytes(_AT_ONCE)
    while True:
        channel.write(block)


def _drain(channel: Channel, _count: int) -> None:
    while True:
        channel.read(_AT_ONCE)


def _swallow(channel: Channel) -> None:
    try:
        _drain(channel, 0)
    except Ended:
        os._exit(0)


_BEHAVIOURS = {"speak": _speak, "echo": _echo, "hold": _hold, "pour": _pour, "stream": _stream, "drain": _drain}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
