"""Telling core modules, components and everything else apart."""

from __future__ import annotations

import pytest

from stellatune_plugins.engine.wasm_kind import CodeKind, require_kind
from stellatune_plugins.errors import NotWasm

MODULE = b"\0asm\x01\0\0\0"
COMPONENT = b"\0asm\x0d\0\x01\0"


@pytest.mark.parametrize(("wasm", "kind"), [(MODULE, CodeKind.MODULE), (COMPONENT, CodeKind.COMPONENT)])
def test_each_kind_is_taken_for_itself(wasm: bytes, kind: CodeKind) -> None:
    """The preamble of the kind that is asked for passes, whatever follows."""
    require_kind(wasm + b"anything", kind, path="a.wasm")


@pytest.mark.parametrize(
    ("wasm", "kind", "found"),
    [
        (COMPONENT, CodeKind.MODULE, "a component"),
        (MODULE, CodeKind.COMPONENT, "a core module"),
        (b"(module)", CodeKind.MODULE, "text"),
        (b"(component)", CodeKind.COMPONENT, "text"),
        (b"", CodeKind.MODULE, "empty"),
        (b"\0asm\x01", CodeKind.MODULE, "cut off within its first eight bytes"),
        (b"\0asm\x02\0\0\0", CodeKind.MODULE, "a core module of an unknown version (02 00 00 00)"),
        (b"\0asm\x0a\0\x01\0", CodeKind.COMPONENT, "a component of an unknown version (0a 00 01 00)"),
        (b"\x7fELF\x02\x01\x01\0", CodeKind.MODULE, "native code"),
        (b"\xef\xbb\xbf(module)", CodeKind.MODULE, "no WebAssembly (it begins with ef bb bf 28)"),
        (b"PK\x03\x04rest", CodeKind.COMPONENT, "no WebAssembly (it begins with 50 4b 03 04)"),
    ],
)
def test_anything_else_is_refused_by_name(wasm: bytes, kind: CodeKind, found: str) -> None:
    """The refusal names what was found, and for which plugin and file."""
    with pytest.raises(NotWasm) as caught:
        require_kind(wasm, kind, path="bin/a.wasm", plugin="some.plugin")
    assert caught.value.details == {"path": "bin/a.wasm", "expected": str(kind), "found": found}
    assert caught.value.plugin == "some.plugin"
    assert found in str(caught.value)
