"""Frame numbers out of FLAC headers."""

from __future__ import annotations

import pytest

from stellatune_plugins.native.flac_frames import block_frames, frame_start

FIXED, VARIABLE = b"\xff\xf8\xc9\x18", b"\xff\xf9\xc9\x18"


@pytest.mark.parametrize(
    ("coded", "number"),
    [
        (b"\0", 0),
        (b"\x7f", 127),
        (b"\xc2\x80", 128),
        (b"\xe0\xa0\x80", 2048),
        (b"\xfe\x80\x81\x80\x80\x80\x80", 1 << 24),
    ],
)
def test_numbers_are_decoded(coded: bytes, number: int) -> None:
    """From one byte to seven; a fixed block size multiplies."""
    rest = coded + bytes(16)
    assert frame_start(VARIABLE + rest, None) == number
    assert frame_start(FIXED + rest, 4096) == number * 4096


@pytest.mark.parametrize(
    "packet", [b"", b"\xff\xf8", bytes(20), FIXED + b"\xff" * 16, FIXED + b"\xc2\0" + bytes(16), FIXED + b"\x80" * 16]
)
def test_what_is_no_header_has_no_number(packet: bytes) -> None:
    """Damaged headers give nothing rather than a wrong place."""
    assert frame_start(packet, 4096) is None


def test_fixed_streams_say_their_block_size() -> None:
    """Equal bounds in the stream info mean a fixed size."""
    assert block_frames(b"\x10\0\x10\0") == 4096
    assert block_frames(b"\0\x10\x10\0") is None
    assert block_frames(None) is None
