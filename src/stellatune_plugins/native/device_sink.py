"""The bundled device sink: plays on a sound device through miniaudio.

A target is JSON, see :class:`~stellatune_plugins.native.devices.DeviceTarget`; ``{}`` is the default device.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

import msgspec
import numpy as np

from stellatune_plugins.errors import OutputFailed
from stellatune_plugins.model import AudioSpec, Block, CoreModuleSpec, Frames, NegotiatedSpec, SinkStatus
from stellatune_plugins.native.devices import DeviceTarget, list_devices, negotiate
from stellatune_plugins.native.playback import Player, PlayerStatus
from stellatune_plugins.native.unconfigured import Unconfigured

WRITE_WAIT: Final = 5.0
"""Seconds that a write waits for room. A device that takes nothing for so long is stuck."""


class BlockQueue:
    """Blocks of samples as one stream of bytes, from one thread to another."""

    def __init__(self) -> None:
        self._blocks: deque[memoryview] = deque()
        self._bytes = 0
        self._lock = threading.Lock()

    def put(self, block: bytes) -> None:
        """Append."""
        with self._lock:
            self._blocks.append(memoryview(block))
            self._bytes += len(block)

    def readable(self) -> int:
        """Bytes that are queued."""
        return self._bytes

    def read(self, max_bytes: int) -> bytes:
        """Take at most so much from the front."""
        return b"".join(self._take(max_bytes))

    def skip(self, max_bytes: int) -> int:
        """Drop at most so much; the number of bytes."""
        return sum(map(len, self._take(max_bytes)))

    def _take(self, max_bytes: int) -> list[memoryview]:
        parts = []
        with self._lock:
            while max_bytes and self._blocks:
                block = self._blocks.popleft()
                if len(block) > max_bytes:
                    self._blocks.appendleft(block[max_bytes:])
                    block = block[:max_bytes]
                parts.append(block)
                max_bytes -= len(block)
                self._bytes -= len(block)
        return parts


class DeviceSink:
    """Makes sessions that play on one device each."""

    def create(self) -> DeviceSinkSession:
        return DeviceSinkSession()


class DeviceSinkSession(Unconfigured):
    """Plays on one device at a time."""

    def __init__(self) -> None:
        self._player: Player | None = None
        self._queue = BlockQueue()
        self._spec: AudioSpec | None = None
        self._limit = 0

    def list_targets_json(self) -> str:
        """Every playback device; each entry is a target as it is."""
        return msgspec.json.encode(list_devices()).decode()

    def negotiate_spec(self, target_json: str, desired: AudioSpec) -> NegotiatedSpec:
        return negotiate(DeviceTarget.parse(target_json), desired)

    def describe_hot_path(self, spec: AudioSpec) -> CoreModuleSpec | None:  # noqa: ARG002 - the interface's name
        return None

    def open(self, target_json: str, spec: AudioSpec) -> None:
        """Start the device; it plays silence until something is written.

        Raises:
            UsageError: it is no target.
            OutputFailed: there is no such device, or it does not start.
        """
        self.close()
        target = DeviceTarget.parse(target_json)
        self._queue, self._spec = BlockQueue(), spec
        self._limit = max(1, spec.sample_rate * target.queue_ms // 1000)
        self._player = Player(target, spec, self._queue)

    def write(self, block: Block) -> Frames:
        """Queue what there is room for, after waiting for room.

        Raises:
            OutputFailed: nothing is open, the device stopped, or it takes nothing any more.
        """
        player, spec = self._open_player(), self._spec
        if spec is None or block.ndim != 2 or block.shape[1] != spec.channels:
            raise OutputFailed(f"a block of shape {block.shape} is not for {spec}", operation="sink.write")
        if not len(block):
            return Frames(0)
        status = player.wait_below(self._limit, WRITE_WAIT)
        if not status.running:
            raise OutputFailed("the device stopped", operation="sink.write", hint="check it, then open it again")
        count = min(len(block), self._limit - status.queued)
        if count <= 0:
            raise OutputFailed("the device takes no samples", operation="sink.write", hint="check the device")
        self._queue.put(np.ascontiguousarray(block[:count], np.float32).tobytes())
        return Frames(count)

    def status(self) -> SinkStatus:
        """Samples (of all channels) that are queued in front of the device."""
        status = self.statistics()
        if status is None or self._spec is None:
            return SinkStatus(queued_samples=0, running=False)
        return SinkStatus(queued_samples=status.queued * self._spec.channels, running=status.running)

    def statistics(self) -> PlayerStatus | None:
        """More than :meth:`status`: frames that were played, and underruns; ``None`` where nothing is open."""
        return None if self._player is None else self._player.status()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a listener should know; for :class:`~stellatune_plugins.session.report.RenderReport`."""
        status = self.statistics()
        if status is None or not status.underruns:
            return ()
        return (f"the device ran dry {status.underruns} times, and played silence until music came",)

    def flush(self) -> None:
        if self._player is not None:
            self._player.flush()

    def reset(self) -> None:
        if self._player is not None:
            self._player.reset()

    def close(self) -> None:
        player, self._player = self._player, None
        if player is not None:
            player.close()

    def _open_player(self) -> Player:
        if self._player is None:
            raise OutputFailed("no device is open", operation="sink.write")
        return self._player


def make() -> DeviceSink:
    """The entry point's factory."""
    return DeviceSink()
