"""The hot-path ABI's numbers are those of the field."""

from __future__ import annotations

import struct

import pytest

from stellatune_plugins.contract import hot_path_abi as abi
from stellatune_plugins.model import HotPathRole, SampleFormat


def test_init_args_lie_as_the_abi_says() -> None:
    """44 bytes, little-endian, each number at its offset."""
    data = abi.InitArgs(
        role=HotPathRole.OUTPUT_SINK,
        sample_rate=96000,
        channels=6,
        sample_format=SampleFormat.I32LE,
        max_frames=512,
        in_offset=0x11223344,
        out_offset=0x55667788,
        buffer_bytes=12288,
        flags=9,
    ).pack()
    assert len(data) == 44
    assert struct.unpack("<IIIHHIIIIIII", data) == (
        *(1, 2, 96000, 6, 3, 512, 0x11223344, 0x55667788, 12288, 9),
        *(0, 0),
    )
    assert data[16:20] == (512).to_bytes(4, "little")


def test_codes_have_names() -> None:
    """A code that the ABI does not know is shown as it is."""
    assert [abi.ErrorCode.describe(code) for code in (1, 5, 6, 99, -1)] == [
        "invalid-arg",
        "would-block",
        "not-ready",
        "unknown code 99",
        "unknown code -1",
    ]


@pytest.mark.parametrize(("flag", "bit"), [("EOF", 0), ("DRAINED", 1), ("NEED_RESET", 2), ("SOFT_ERROR", 3)])
def test_flags_are_bits(flag: str, bit: int) -> None:
    """As process reports them."""
    assert abi.ProcessFlag[flag] == 1 << bit
