"""Host services that a test can look into: streams in memory, ones that wait, answers by URL."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Mapping

import numpy as np

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host import budget
from stellatune_plugins.host.stream import HostStream, OpenRequest


def rawf(samples: np.ndarray, rate: int = 48_000) -> bytes:
    """What ``decoder_actor.c`` decodes; ``samples`` has the shape of a block."""
    return b"RAWF" + struct.pack("<IHH", rate, samples.shape[1], 0) + samples.astype("<f4").tobytes()


class MemoryStream(HostStream):
    """Bytes in memory. Every call is in ``log``; ``size_known`` and ``seekable`` take abilities away."""

    def __init__(self, data: bytes, *, size_known: bool = True, seekable: bool = True) -> None:
        self.data = data
        self.size_known = size_known
        self.seekable = seekable
        self.position = 0
        self.closes = 0
        self.log: list[str] = []

    def read(self, max_bytes: int) -> bytes:
        self.log.append(f"read {max_bytes}")
        if self.closes:
            raise PluginFailure("io", "closed")
        data = self.data[self.position : self.position + max_bytes]
        self.position += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        self.log.append(f"seek {offset} {whence}")
        if not self.seekable:
            raise PluginFailure("unsupported", "only forward")
        position = (0, self.position, len(self.data))[whence] + offset
        if position < 0:
            raise PluginFailure("invalid-arg", "before the start")
        self.position = position
        return position

    def tell(self) -> int:
        return self.position

    def size(self) -> int | None:
        return len(self.data) if self.size_known else None

    def close(self) -> None:
        self.closes += 1


class GenerousStream(MemoryStream):
    """Gives more than it was asked for, and impossible positions."""

    def read(self, max_bytes: int) -> bytes:
        super().read(max_bytes)
        return bytes(max_bytes + 7)

    def seek(self, offset: int, whence: int = 0) -> int:
        return -1

    def tell(self) -> int:
        return 2**64


class WaitingStream(HostStream):
    """Each call of ``waits`` waits as long as it may; ``close`` from another thread ends it."""

    def __init__(self, timeout: float, waits: str = "read") -> None:
        self.timeout = timeout
        self.waits = waits
        self.entered = threading.Event()
        self.closed = threading.Event()

    def _wait(self, where: str) -> None:
        if where != self.waits:
            return
        self.entered.set()
        if self.closed.wait(budget.within(self.timeout)):
            raise PluginFailure("io", "the stream was closed")
        raise PluginFailure("timeout", "nothing came")

    def read(self, max_bytes: int) -> bytes:
        self._wait("read")
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        self._wait("seek")
        return 0

    def tell(self) -> int:
        self._wait("tell")
        return 0

    def size(self) -> int | None:
        self._wait("size")
        return None

    def close(self) -> None:
        self.closed.set()


class Streams:
    """Opens what a function makes of each request; everything that was asked for and opened stays in lists."""

    def __init__(self, make: Callable[[OpenRequest], HostStream]) -> None:
        self._make = make
        self.requests: list[OpenRequest] = []
        self.opened: list[HostStream] = []

    def open(self, request: OpenRequest) -> HostStream:
        self.requests.append(request)
        self.opened.append(self._make(request))
        return self.opened[-1]


class Answers:
    """Answers by URL, an exception by raising it; nothing else is found."""

    def __init__(self, bodies: Mapping[str, str | Exception]) -> None:
        self.bodies = bodies
        self.asked: list[str] = []

    def fetch_json(self, url: str) -> str:
        self.asked.append(url)
        body = self.bodies.get(url, PluginFailure("not-found", "no such page"))
        if isinstance(body, Exception):
            raise body
        return body
