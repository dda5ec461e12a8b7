"""Where things lie in the bus: the memory that the host, the conductor and nobody else shares.

The bus holds one batch of samples, which every stage reads and writes in place, so a stage's input is still there
when the stage crashes; and beside it, what the conductor tells the host and the host tells the conductor.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from stellatune_plugins.engine.core import PAGE

POSITION: Final = 0
"""u32: the first frame of the block at work."""
BLOCK: Final = 4
"""u32: its frames; 0 where no block was begun."""
STAGE: Final = 8
"""u32: the stage at work, or :data:`NOBODY`."""
DONE: Final = 12
"""u32: the first stage that has not finished this block. Greater than STAGE between two stages."""
FAULT: Final = 16
"""u32: what is wrong, a :class:`Fault`."""
VALUE: Final = 20
"""u32: the code, frame count or flags that were wrong."""
RESETS: Final = 24
"""u64: which of the stage's instances ask to be reset, a bit each."""
NOBODY: Final = 0xFFFF_FFFF
MAX_INSTANCES: Final = 64
"""Of one stage: as many as RESETS has bits."""
_RECORDS: Final = 64
_RECORD: Final = 16
"""An instance's record: u32 context, u32 scratch offset, u32 pages of memory it must have, u32 unused."""
_SAMPLE: Final = 4
_ALIGN: Final = 64


class Fault(enum.IntEnum):
    """Why the conductor stopped and asks the host."""

    CODE = 1
    FRAMES = 2
    FLAGS = 3
    NEED_RESET = 4
    """The block is good; the guest asks to be reset before the next."""
    NOT_FINITE = 5
    GREW = 6
    """The guest grew its memory while processing."""
    INPUT = 7
    """What the host put on the bus is not finite; no stage is to blame."""


class Mapping(enum.StrEnum):
    """How the channels of the chain reach a stage."""

    DIRECT = "direct"
    FRONT_PAIR = "front-pair"
    """A stereo stage gets the first two channels; the others pass round it, delayed as much."""
    PER_CHANNEL = "per-channel"
    """A mono stage gets an instance for each channel."""
    MONO_AS_STEREO = "mono-as-stereo"
    """A stereo stage gets the one channel twice; its outputs are averaged."""


class StageShape(msgspec.Struct, frozen=True):
    """What the conductor has to know of a stage, besides its instances."""

    channels: int
    """Of the chain at this stage."""
    mapping: Mapping
    delay: int
    """The most frames that the dry signal can be delayed by; 0 for a stage without latency."""
    input: int
    output: int

    @property
    def instances(self) -> int:
        """How many instances serve the stage."""
        return self.channels if self.mapping is Mapping.PER_CHANNEL else 1

    @property
    def stage_channels(self) -> int:
        """Channels of each instance."""
        return stage_channels(self.mapping, self.channels)

    @property
    def stride(self) -> int:
        """Bytes a frame on the bus."""
        return self.channels * _SAMPLE

    @property
    def keeps_dry(self) -> bool:
        """Whether the stage's input is kept, to be delayed by its latency."""
        return self.delay > 0


def stage_channels(mapping: Mapping, channels: int) -> int:
    """Channels that an instance of a stage sees."""
    if mapping is Mapping.DIRECT:
        return channels
    return 1 if mapping is Mapping.PER_CHANNEL else 2


class StageAddresses(msgspec.Struct, frozen=True):
    """A stage's own places in the bus."""

    mode: int
    """u32: 0 runs, 1 is bypassed."""
    records: tuple[int, ...]
    last: int
    """The last frame that was heard of the stage."""
    last_dry: int
    """The dry signal's frame at that moment."""
    next_dry: int
    """Room for the one of the block at work."""
    latency: int
    """u32: frames by which the dry signal is delayed."""
    spread: int
    """Room for a block that is scattered before it is copied onto the bus in one go."""
    dry: int
    """The dry line: ``delay`` frames of history, then the batch. What went in at frame n of the batch comes out, late,
    ``latency`` frames further on; the host moves the history on after each batch."""


class BusLayout:
    """Addresses for a chain of stages.

    Args:
        shapes: the stages in order.
        batch_frames: the most frames in one host call.
        block_frames: the most frames in one block.
    """

    def __init__(self, shapes: tuple[StageShape, ...], *, batch_frames: int, block_frames: int) -> None:
        self.batch_frames = batch_frames
        self.block_frames = block_frames
        self._next = _RECORDS
        self.stages = tuple(self._stage(shape) for shape in shapes)
        widest = max((shape.stride for shape in shapes), default=_SAMPLE)
        self.samples = self._take(batch_frames * widest)
        self.pages = -(-self._next // PAGE)

    @property
    def bytes(self) -> int:
        """The bus's size."""
        return self.pages * PAGE

    def _take(self, size: int) -> int:
        address = -(-self._next // _ALIGN) * _ALIGN
        self._next = address + size
        return address

    def _stage(self, shape: StageShape) -> StageAddresses:
        block = self.block_frames * shape.stride
        return StageAddresses(
            mode=self._take(4),
            records=tuple(self._take(_RECORD) for _ in range(shape.instances)),
            last=self._take(shape.stride),
            last_dry=self._take(shape.stride),
            next_dry=self._take(shape.stride),
            latency=self._take(4),
            spread=self._take(0 if shape.mapping is Mapping.DIRECT else block),
            dry=self._take((shape.delay + self.batch_frames) * shape.stride if shape.keeps_dry else 0),
        )
