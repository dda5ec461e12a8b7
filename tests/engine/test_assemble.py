"""Modules of the host's own: small, kept, and refused in the taxonomy's words."""

from __future__ import annotations

import pytest

from stellatune_plugins.engine import assemble as room
from stellatune_plugins.engine.assemble import assemble, compile_trusted
from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.errors import InstantiateFailed


def test_a_module_beyond_wasm_s_own_limits_is_an_error_of_ours(guest_engine: WasmEngine) -> None:
    """A conductor for too many stages has more memories than wasm allows; the error says so."""
    with pytest.raises(InstantiateFailed, match=r"memories count exceeds limit of 100") as caught:
        compile_trusted(guest_engine, f"(module {'(memory 1)' * 101})")
    assert caught.value.details["limit"] is True
    assert caught.value.__cause__ is not None


def test_a_wrong_text_is_an_error_of_ours(guest_engine: WasmEngine) -> None:
    """Neither does the assembler's own error escape."""
    with pytest.raises(InstantiateFailed, match="expected"):
        compile_trusted(guest_engine, "(module (nonsense))")


def test_binary_forms_are_kept_without_their_texts() -> None:
    """The same text gives the same object; no more than a few are kept, by hashes."""
    first = assemble("(module (func))")
    assert assemble("(module (func))") is first
    for number in range(2 * room.KEPT):
        assemble(f"(module (global i32 (i32.const {number})))")
    assert len(room._known) == room.KEPT
    assert {len(key) for key in room._known} == {32}
    again = assemble("(module (func))")
    assert again == first
    assert again is not first
