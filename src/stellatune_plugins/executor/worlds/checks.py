"""Checks of what guests return, that several worlds need. A value that fails one breaks the guest's cell."""

from __future__ import annotations

import json
from typing import Final

from stellatune_plugins.errors import GuestContract, ValueInvalid
from stellatune_plugins.model import AudioSpec, SampleRate

MAX_CHANNELS: Final = 64
MAX_SAMPLE_RATE: Final = 1_536_000
SAMPLE_BYTES: Final = 4


def json_text(text: str, what: str, limit: int) -> str:
    """A text that is JSON and not longer than ``limit`` bytes.

    Raises:
        GuestContract: it is not.
    """
    if len(text) > limit or len(text.encode()) > limit:
        raise GuestContract(f"{what} gave more than {limit} bytes")
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GuestContract(f"{what} gave what is no JSON") from error
    return text


def audio_spec(rate: int, channels: int, what: str) -> AudioSpec:
    """A shape that music can have.

    Raises:
        GuestContract: no rate or number of channels that exists.
    """
    if not 1 <= rate <= MAX_SAMPLE_RATE:
        raise GuestContract(f"{what} gave a sample rate of {rate}, outside 1 to {MAX_SAMPLE_RATE}")
    if not 1 <= channels <= MAX_CHANNELS:
        raise GuestContract(f"{what} gave {channels} channels, outside 1 to {MAX_CHANNELS}")
    return AudioSpec(SampleRate(rate), channels)


def whole_frames(channels: int, samples: bytes) -> int:
    """How many frames a caller's samples are.

    Raises:
        ValueInvalid: there is a part of a frame in them, or no such number of channels.
    """
    if not 1 <= channels <= MAX_CHANNELS or len(samples) % (channels * SAMPLE_BYTES):
        raise ValueInvalid(f"{len(samples)} bytes are no whole frames of {channels} channels")
    return len(samples) // (channels * SAMPLE_BYTES)
