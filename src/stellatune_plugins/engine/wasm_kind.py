"""Which of WebAssembly's two binary kinds some bytes are: told from the eight bytes of the preamble alone."""

from __future__ import annotations

import enum
from typing import Final

from stellatune_plugins.errors import NotWasm

MAGIC: Final = b"\0asm"
_LAYER_OFFSET: Final = 6
_PREAMBLE_BYTES: Final = 8


class CodeKind(enum.StrEnum):
    """The two binary kinds. Each needs its own loader; wasmtime's own takes text as well, which this host does not."""

    MODULE = "module"
    COMPONENT = "component"


_PREAMBLES: Final = {
    MAGIC + b"\x01\x00\x00\x00": CodeKind.MODULE,
    MAGIC + b"\x0d\x00\x01\x00": CodeKind.COMPONENT,
}
_NAMES: Final = {CodeKind.MODULE: "a core module", CodeKind.COMPONENT: "a component"}


def require_kind(wasm: bytes, kind: CodeKind, *, path: str, plugin: str | None = None) -> None:
    """Refuse whatever is not binary WebAssembly of the kind that is called for.

    Raises:
        NotWasm: it is text, another format, the other kind, or of a version that is not known.
    """
    found = _PREAMBLES.get(wasm[:_PREAMBLE_BYTES])
    if found is kind:
        return
    what = _NAMES[found] if found else _describe(wasm)
    raise NotWasm(
        f"{path} should be {_NAMES[kind]} and is {what}",
        plugin=plugin,
        operation="compile",
        path=path,
        expected=str(kind),
        found=what,
    )


def _describe(data: bytes) -> str:
    head = data[:_PREAMBLE_BYTES]
    if not head:
        return "empty"
    if head[:4] == MAGIC:
        if len(head) < _PREAMBLE_BYTES:
            return "cut off within its first eight bytes"
        layer = "component" if head[_LAYER_OFFSET] else "core module"
        return f"a {layer} of an unknown version ({head[4:].hex(' ')})"
    if head[:4] == b"\x7fELF":
        return "native code"
    if all(byte in b"\t\n\r" or 0x20 <= byte < 0x7F for byte in data[:64]):
        return "text"
    return f"no WebAssembly (it begins with {head[:4].hex(' ')})"
