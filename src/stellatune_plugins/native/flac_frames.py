"""Where a FLAC frame belongs: its header says, and libavformat does not pass it on when frames before it are lost."""

from __future__ import annotations


def block_frames(stream_info: bytes | None) -> int | None:
    """Samples a frame of a stream with fixed block size; ``None`` for a variable one (RFC 9639, section 8.2)."""
    if stream_info is None or len(stream_info) < 4:
        return None
    smallest, largest = int.from_bytes(stream_info[:2], "big"), int.from_bytes(stream_info[2:4], "big")
    return largest if smallest == largest and largest >= 16 else None


def frame_start(packet: bytes, block: int | None) -> int | None:
    """The first sample's number of the frame at the start of a packet (RFC 9639, section 9.1).

    Args:
        packet: at least the frame's first 11 bytes.
        block: samples a frame, for streams with fixed block size.
    """
    if len(packet) < 11 or packet[0] != 0xFF or packet[1] & 0xFE != 0xF8:
        return None
    number = _coded_number(packet[4:11])
    if number is None:
        return None
    if packet[1] & 1:
        return number
    return None if block is None else number * block


def _coded_number(data: bytes) -> int | None:
    """A number in the extended UTF-8 of FLAC: up to 36 bits in up to seven bytes."""
    first = data[0]
    if first < 0x80:
        return first
    more = 0
    while more < 7 and first & (0x40 >> more):
        more += 1
    if not 1 <= more <= 6:
        return None
    value = first & (0x3F >> more)
    for byte in data[1 : 1 + more]:
        if byte & 0xC0 != 0x80:
            return None
        value = value << 6 | byte & 0x3F
    return value
