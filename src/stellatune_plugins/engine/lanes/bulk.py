"""The contract's functions that carry bytes in bulk, and how their lanes look."""

from __future__ import annotations

from typing import Final

import msgspec

from stellatune_plugins.engine.wit_types import (
    FunctionType,
    HandleTo,
    ListOf,
    OptionOf,
    Primitive,
    RecordOf,
    ResultOf,
    WitType,
)

PACKAGE: Final = "stellatune:plugin"
VERSION: Final = "0.1.0"
BYTES: Final = ListOf(Primitive("u8"))
STRING: Final = Primitive("string")
U32: Final = Primitive("u32")
_U16: Final = Primitive("u16")
_BOOL: Final = Primitive("bool")


class BulkFunction(msgspec.Struct, frozen=True):
    """One method with bytes in it.

    Args:
        interface: its short name.
        resource: whose method it is.
        method: the method's name.
        imported: whether the host serves it.
        params: what follows the resource, by name.
        ok: the good outcome; the other one is the contract's ``plugin-error``.
    """

    interface: str
    resource: str
    method: str
    imported: bool
    params: tuple[tuple[str, WitType], ...]
    ok: WitType

    @property
    def name(self) -> str:
        """As the binary names it."""
        return f"[method]{self.resource}.{self.method}"

    @property
    def lane(self) -> str:
        """Its lane's name at the component's root."""
        return f"lane-{self.interface}-{self.resource}-{self.method}"

    @property
    def fields(self) -> tuple[WitType, ...]:
        """The parts of the good outcome."""
        return tuple(kind for _, kind in self.ok.fields) if isinstance(self.ok, RecordOf) else (self.ok,)

    @property
    def gives_bytes(self) -> bool:
        """Whether the good outcome begins with bytes."""
        return self.fields[0] == BYTES

    @property
    def flat(self) -> tuple[WitType | None, ...]:
        """What stands in each core parameter behind the resource's: a type, ``None`` where one goes on."""
        flat: list[WitType | None] = []
        for _, kind in self.params:
            flat += (kind, None) if kind == BYTES or isinstance(kind, OptionOf) else (kind,)
        return tuple(flat)

    def fits(self, kind: FunctionType) -> bool:
        """Whether a component's function is the contract's."""
        if not kind.params or not isinstance(kind.params[0][1], HandleTo) or not isinstance(kind.result, ResultOf):
            return False
        return kind.params[1:] == self.params and kind.result.ok == self.ok


BULK: Final = (
    BulkFunction(
        "decoder",
        "session",
        "read-pcm-f32",
        imported=False,
        params=(("max-frames", U32),),
        ok=RecordOf((("interleaved-f32le", BYTES), ("frames", U32), ("eof", _BOOL))),
    ),
    BulkFunction(
        "source",
        "source-stream",
        "read",
        imported=False,
        params=(("max-bytes", U32),),
        ok=RecordOf((("bytes", BYTES), ("eof", _BOOL))),
    ),
    BulkFunction(
        "dsp",
        "processor",
        "process-interleaved-f32",
        imported=False,
        params=(("channels", _U16), ("interleaved-f32le", BYTES)),
        ok=BYTES,
    ),
    BulkFunction(
        "output-sink",
        "session",
        "write-interleaved-f32",
        imported=False,
        params=(("channels", _U16), ("interleaved-f32le", BYTES)),
        ok=U32,
    ),
    BulkFunction("host-stream", "host-stream-handle", "read", imported=True, params=(("max-bytes", U32),), ok=BYTES),
    BulkFunction(
        "sidecar",
        "channel",
        "read",
        imported=True,
        params=(("max-bytes", U32), ("timeout-ms", OptionOf(U32))),
        ok=BYTES,
    ),
    BulkFunction("sidecar", "channel", "write", imported=True, params=(("data", BYTES),), ok=U32),
)
"""All of them. A method of another 0.1.x that differs from this is left as it is."""
