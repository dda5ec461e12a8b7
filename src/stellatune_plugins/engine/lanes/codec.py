"""Bytes as two planes in a string, and the codec of a bulk function that has a lane.

A string crosses wasmtime's C API as one copy, a ``list<u8>`` as 32 bytes of value for each byte. So n bytes travel as
2n characters of ASCII: the low seven bits of every byte, then the high bit of every byte.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from stellatune_plugins.engine import component_capi as api
from stellatune_plugins.engine.codec import Decoder, FunctionCodec, HandleSpace, decoder, encoder, layout
from stellatune_plugins.engine.codec.decode import decode_result_of
from stellatune_plugins.engine.codec.encode import encode_result_of, source_of
from stellatune_plugins.engine.lanes.bulk import BYTES, BulkFunction
from stellatune_plugins.engine.values import Ok
from stellatune_plugins.engine.wit_types import FunctionType, RecordOf, ResultOf
from stellatune_plugins.errors import GuestContract

Bytes = npt.NDArray[np.uint8]

_LOW: Final = np.uint8(0x7F)
_HIGH: Final = np.uint8(0x80)
_pair: Final = layout.PAIR.unpack_from
_pack: Final = layout.SPAN.pack
_Vector: Final = ctypes.c_uint64 * 2


def _split(source: Bytes, planes: Bytes) -> None:
    size = source.size
    np.bitwise_and(source, _LOW, out=planes[:size])
    # A comparison leaves 0 or 1, which is the high bit, in half the time of a shift.
    np.greater(source, _LOW, out=planes[size:].view("?"))


def encode_planes(value: Any, keep: list[Any], _space: HandleSpace) -> bytes:
    """Bytes as a string of wasmtime's."""
    source = source_of(value)
    size = source.size
    if not size:
        return _pack(layout.STRING, 0, 0)
    planes = np.empty(2 * size, "u1")
    _split(source, planes)
    keep.append(planes)
    return _pack(layout.STRING, 2 * size, planes.__array_interface__["data"][0])


def decode_planes(buffer: Any, offset: int, _space: HandleSpace) -> bytearray:
    """The bytes in a string of wasmtime's; all of its own are of even length.

    They are the caller's own, to be written to: whoever makes an array of samples of them needs no other copy.

    Raises:
        GuestContract: the guest gave more bytes than one call may carry, or such as it does not have.
    """
    size, address = _pair(buffer, offset + layout.UNION)
    if not size:
        return bytearray()
    half = size >> 1
    if size & 1:
        raise GuestContract("the guest passed bytes that it does not have, or more than one call may carry")
    planes = np.frombuffer(api.view_memory(address, size, api.TO_READ), "u1")
    data = bytearray(half)
    merged = np.frombuffer(data, "u1")
    np.multiply(planes[half:], _HIGH, out=merged)  # numpy multiplies bytes ten times as fast as it shifts them
    np.bitwise_or(merged, planes[:half], out=merged)
    return data


def _decode_given(buffer: Any, offset: int, space: HandleSpace) -> bytes:
    """What a guest passes to the host, which may keep it."""
    return bytes(decode_planes(buffer, offset, space))


class LaneCodec(FunctionCodec):
    """Takes and gives what the function's own codec does, and carries its bytes in planes.

    Bytes that a guest answers with are a ``bytearray``, where the function's own codec gives ``bytes``.

    Args:
        name: for messages.
        kind: the function's own type.
        bulk: which function of the contract it is.
    """

    def __init__(self, name: str, kind: FunctionType, bulk: BulkFunction) -> None:
        super().__init__(name, kind)
        self._answers_bytes = bulk.imported and bulk.gives_bytes
        self.encoders = tuple(
            encode_planes if param == BYTES else own for (_, param), own in zip(kind.params, self.encoders, strict=True)
        )
        self.decoders = tuple(
            _decode_given if param == BYTES else own for (_, param), own in zip(kind.params, self.decoders, strict=True)
        )
        if bulk.gives_bytes and isinstance(kind.result, ResultOf) and kind.result.err is not None:
            self.decode_result = decode_result_of(_decode_ok(bulk), decoder(kind.result.err))
            if bulk.imported:
                self.encode_result = encode_result_of(encode_planes, encoder(kind.result.err))

    def store_answer(self, value: Any, results: int) -> bool:
        """Bytes are split straight into wasmtime's memory, which saves a copy of both planes."""
        if (
            not self._answers_bytes
            or value.__class__ is not Ok
            or value.value.__class__ is not bytes
            or not value.value
        ):
            return False
        source = np.frombuffer(value.value, np.uint8)
        vector = _Vector()
        api.byte_vec_new(ctypes.addressof(vector), 2 * source.size)
        size, address = vector
        _split(source, np.frombuffer(api.view_memory(address, size, api.TO_WRITE), np.uint8))
        box = api.val_new(_pack(layout.STRING, size, address))
        ctypes.memmove(results, layout.OUTCOME.pack(layout.RESULT, 1, box), layout.VALUE_BYTES)
        return True


def _decode_ok(bulk: BulkFunction) -> Decoder:
    """The good outcome, of which the component's lane makes a tuple where the contract has a record."""
    if not isinstance(bulk.ok, RecordOf):
        return decode_planes
    plan = [
        (name, decode_planes if kind == BYTES else decoder(kind), index * layout.VALUE_BYTES)
        for index, (name, kind) in enumerate(bulk.ok.fields)
    ]
    size = len(plan) * layout.VALUE_BYTES

    def decode(buffer: Any, offset: int, space: HandleSpace) -> dict[str, Any]:
        inner = api.read_memory(_pair(buffer, offset + layout.UNION)[1], size)
        return {name: decode_field(inner, at, space) for name, decode_field, at in plan}

    return decode
