"""Planes by themselves: whatever a string holds, it becomes half as many bytes or a broken contract."""

from __future__ import annotations

import ctypes
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from stellatune_plugins.engine.codec import Mismatch, layout
from stellatune_plugins.engine.lanes.codec import decode_planes, encode_planes
from stellatune_plugins.errors import GuestContract

NOWHERE: Any = None  # planes ask nothing of a handle space


def read(image: bytes) -> bytes:
    """The characters of a string's value."""
    size, address = layout.PAIR.unpack_from(image, layout.UNION)
    return ctypes.string_at(address, size) if size else b""


@hypothesis.given(st.binary(max_size=400))
def test_planes_are_ascii_and_come_back_as_the_same_bytes(data: bytes) -> None:
    """The low seven bits of all, then the high bit of all."""
    keep: list[Any] = []
    image = encode_planes(data, keep, NOWHERE)
    planes = read(image)
    assert planes == bytes(byte & 0x7F for byte in data) + bytes(byte >> 7 for byte in data)
    assert decode_planes(image, 0, NOWHERE) == data


@hypothesis.given(st.binary(max_size=400))
def test_any_string_is_bytes_or_a_broken_contract(planes: bytes) -> None:
    """Also one that no lane writes: with other bits, which change bytes and never how many there are."""
    buffer = ctypes.create_string_buffer(planes, len(planes) + 1)
    image = layout.SPAN.pack(layout.STRING, len(planes), ctypes.addressof(buffer))
    if len(planes) & 1:
        with pytest.raises(GuestContract):
            decode_planes(image, 0, NOWHERE)
    else:
        half = len(planes) >> 1
        expected = bytes(low | high << 7 & 0x80 for low, high in zip(planes[:half], planes[half:], strict=True))
        assert decode_planes(image, 0, NOWHERE) == expected


@pytest.mark.parametrize("value", ["text", 5, None, [1, 2], memoryview(bytes(10))[::2]])
def test_what_is_no_bytes_is_refused(value: Any) -> None:
    """As for ``list<u8>``."""
    with pytest.raises(Mismatch, match="bytes are expected"):
        encode_planes(value, [], NOWHERE)


@pytest.mark.parametrize("value", [memoryview(b"\x80\x01"), bytearray(b"\x80\x01"), memoryview(b"\x80\x01").cast("b")])
def test_views_are_taken(value: Any) -> None:
    """Signed ones too: their bytes count."""
    keep: list[Any] = []
    image = encode_planes(value, keep, NOWHERE)
    assert read(image) == b"\x00\x01\x01\x00"
    assert keep
