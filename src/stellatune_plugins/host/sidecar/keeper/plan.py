"""What a keeper is told about its sidecar. The host writes it into an anonymous file as JSON."""

from __future__ import annotations

import array
import json
import os
import select
import socket
from dataclasses import asdict, dataclass, field
from typing import Final

PLAIN_DESCRIPTORS: Final = 5
"""With a request come: the plan, the keeper's end of its channel, the sidecar's stdin, stdout and stderr."""
MAX_MESSAGE: Final = 4096
MAX_EXTRA: Final = 64
"""Descriptors beside the standard streams."""
READY: Final = b"ready"
"""From the nursery: it serves."""
STOP: Final = b"stop"
"""To the keeper: SIGTERM for the sidecar's process group."""
KILL: Final = b"kill"
"""To the keeper: an end to everything below it. The end of the channel means the same."""


@dataclass(frozen=True)
class Limits:
    """What the kernel lets one sidecar have; ``None`` leaves a limit as the host has it."""

    memory: int | None = 2 << 30
    """Bytes of address space of each process."""
    processes: int | None = 64
    """Processes and threads together."""
    files: int | None = 256
    """Open files of each process."""


@dataclass(frozen=True)
class Plan:
    """Everything that is decided about a start."""

    tier: str
    """``bubblewrap``, ``landlock`` or ``none``."""
    argv: list[str]
    env: dict[str, str]
    folder: str
    """Where the program starts."""
    private: str = ""
    """The folder that this sidecar shares with the host, which removes it; the keeper does where the host is gone."""
    numbers: list[int] = field(default_factory=list)
    """The descriptors beside the standard streams, by the numbers that the sidecar gets them under."""
    network: bool = False
    filtered: bool = True
    """With the system call filter, which a machine of an unknown kind does not have."""
    scoped: bool = False
    """bubblewrap within Landlock's scope for signals and abstract sockets."""
    unix_sockets: bool = True
    """In the filter."""
    limits: Limits = field(default_factory=Limits)
    rules: list[tuple[str, str]] = field(default_factory=list)
    """Landlock: path, and ``list``, ``read``, ``write``, ``use`` (what is there, nothing new) or ``device``."""
    bubblewrap: str = ""
    """The program that makes the namespaces."""
    options: list[str] = field(default_factory=list)
    """bubblewrap: its own, without those that name descriptors."""

    def write(self) -> int:
        """The plan in an anonymous file, whose descriptor is the caller's.

        Raises:
            OSError: no file to be had.
        """
        descriptor = os.memfd_create("stellatune-sidecar-plan", os.MFD_CLOEXEC)
        try:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(json.dumps(asdict(self)).encode())
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    @classmethod
    def read(cls, descriptor: int) -> Plan:
        """What :meth:`write` wrote; the descriptor is closed."""
        with open(descriptor, "rb") as file:
            file.seek(0)
            data = json.load(file)
        data["limits"] = Limits(**data["limits"])
        return cls(**data)


def is_readable(descriptor: int, seconds: float) -> bool:
    """Wait for something to read, or the end. ``select`` takes no descriptor from 1024 on, which large hosts have."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(max(0.0, seconds) * 1000))


def receive(channel: socket.socket, most: int) -> tuple[bytes, list[int]]:
    """One message with up to ``most`` descriptors, which no program that this process starts will inherit.

    ``socket.recv_fds`` drops the flag that sees to that (CPython 3.11).

    Raises:
        OSError: the channel is broken.
    """
    descriptors = array.array("i")
    room = socket.CMSG_SPACE(most * descriptors.itemsize) if most else 0
    data, control, _, _ = channel.recvmsg(MAX_MESSAGE, room, socket.MSG_CMSG_CLOEXEC)
    for level, kind, content in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    return data, list(descriptors)
