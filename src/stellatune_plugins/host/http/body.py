"""The body of an answer as text: unpacked and read with a cap on every step."""

from __future__ import annotations

import zlib
from typing import Final

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.deadline import Deadline
from stellatune_plugins.host.egress import Exchange

MAX_PACKED: Final = 8 * 1024 * 1024
MAX_BYTES: Final = 8 * 1024 * 1024
CHUNK: Final = 64 * 1024

ACCEPTED: Final = "gzip, deflate"


def read_body(exchange: Exchange, deadline: Deadline) -> bytes:
    """The whole body, unpacked.

    Raises:
        PluginFailure: ``io`` where it is too long or broken, ``unsupported`` for a coding that was not asked for, or
            the deadline's.
        ConnectionLost: it broke off.
    """
    unpacker = _unpacker((exchange.header("content-encoding") or "").strip().lower())
    if exchange.length is not None and exchange.length > MAX_PACKED:
        raise _too_long()
    body = bytearray()
    packed = 0
    while data := exchange.read(CHUNK, deadline):
        packed += len(data)
        if packed > MAX_PACKED:
            raise _too_long()
        body += unpacker.put(data, MAX_BYTES + 1 - len(body))
        if len(body) > MAX_BYTES:
            raise _too_long()
        deadline.check()
    unpacker.finish(any_input=packed > 0)
    return bytes(body)


class _Plain:
    def put(self, data: bytes, room: int) -> bytes:  # noqa: ARG002 - as _Zlib
        return data

    def finish(self, *, any_input: bool) -> None:
        """Nothing can be missing."""


class _Zlib:
    """gzip, zlib, or the bare deflate that some servers send under that name."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._decoder = zlib.decompressobj(window)
        self._is_first = True

    def put(self, data: bytes, room: int) -> bytes:
        """At most ``room`` bytes: what is beyond is too long anyway, and a bomb is not unpacked to find out."""
        if self._decoder.eof:
            raise _goes_on()
        try:
            return self._decoder.decompress(data, room)
        except zlib.error as error:
            if self._is_first and self._window == zlib.MAX_WBITS:
                self._window = -zlib.MAX_WBITS
                self._decoder = zlib.decompressobj(self._window)
                return self.put(data, room)
            raise PluginFailure("io", f"the answer's compression is broken: {error}") from error
        finally:
            self._is_first = False

    def finish(self, *, any_input: bool) -> None:
        if any_input and not self._decoder.eof:
            raise PluginFailure("io", "the answer's compressed data is cut off")
        if self._decoder.unused_data:
            raise _goes_on()


def _unpacker(coding: str) -> _Plain | _Zlib:
    if coding in {"", "identity"}:
        return _Plain()
    if coding in {"gzip", "x-gzip"}:
        return _Zlib(16 + zlib.MAX_WBITS)
    if coding == "deflate":
        return _Zlib(zlib.MAX_WBITS)
    raise PluginFailure("unsupported", "the answer's compression is none that was asked for")


def _goes_on() -> PluginFailure:
    return PluginFailure("io", "the answer goes on after its compressed end")


def _too_long() -> PluginFailure:
    return PluginFailure("io", f"the answer is longer than {MAX_BYTES} bytes")
