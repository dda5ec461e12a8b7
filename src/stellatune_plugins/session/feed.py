"""The end of a render: blocks into an output sink, in the shape that the sink agreed to."""

from __future__ import annotations

import time
from typing import Final

import numpy as np

from stellatune_plugins.contract.capabilities import OutputSinkSession
from stellatune_plugins.errors import OutputFailed
from stellatune_plugins.model import AudioSpec, Block, NegotiatedSpec

STALL_S: Final = 10.0
"""Seconds in which a sink must accept at least one frame."""
STALL_PAUSE_S: Final = 0.005


class Feed:
    """Hands a chain's blocks to a sink, at the pace at which the sink takes them.

    Args:
        output: the sink's session, not open yet.
        target_json: what to open it on.
        music: the shape of the blocks to come.
        agreed: what the sink agreed to for that shape. A sink of two channels gets mono twice, one of a single channel
            the mean of two.

    Raises:
        OutputFailed: the sink agreed to something that the music cannot be brought to.
        StellatuneError: it cannot be opened.
    """

    def __init__(self, output: OutputSinkSession, target_json: str, music: AudioSpec, agreed: NegotiatedSpec) -> None:
        wanted = agreed.spec.channels
        if wanted != music.channels and {wanted, music.channels} != {1, 2}:
            raise OutputFailed(
                f"the sink takes {wanted} channels, and the music has {music.channels}",
                operation="output.open",
                hint="choose another target, or add a plugin that changes the channels with --dsp",
            )
        if agreed.spec.sample_rate != music.sample_rate:
            raise OutputFailed(
                f"the sink takes {agreed.spec.sample_rate} Hz for {music.channels} channels, and the chain runs at "
                f"{music.sample_rate} Hz",
                operation="output.open",
                hint=f"pass --rate {agreed.spec.sample_rate}",
            )
        self._output = output
        self._channels = wanted
        self._chunk = int(agreed.preferred_chunk)
        output.open(target_json, agreed.spec)

    def write(self, block: Block) -> None:
        """Write until every frame was accepted.

        Raises:
            OutputFailed: the sink accepts nothing any more, or lies about what it accepted.
        """
        block = self._shaped(block)
        chunk = self._chunk or len(block)
        for begin in range(0, len(block), chunk or 1):
            _write_all(self._output, block[begin : begin + chunk])

    def _shaped(self, block: Block) -> Block:
        if block.shape[1] == self._channels:
            return block
        if self._channels == 2:
            return np.repeat(block, 2, axis=1)
        half = np.float32(0.5)  # of each, since the sum of both may be infinite
        return half * block[:, :1] + half * block[:, 1:]


def _write_all(output: OutputSinkSession, block: Block) -> None:
    stalled: float | None = None
    while len(block):
        accepted = output.write(block)
        if not 0 <= accepted <= len(block):
            raise OutputFailed(f"the sink accepted {accepted} of {len(block)} frames", operation="output.write")
        if accepted:
            block, stalled = block[accepted:], None
            continue
        # A device takes what it has played room for; one that stands still is no device.
        now = time.monotonic()
        stalled = stalled or now
        if now - stalled > STALL_S:
            raise OutputFailed(f"the sink accepted nothing for {STALL_S:g} s", operation="output.write")
        time.sleep(STALL_PAUSE_S)
