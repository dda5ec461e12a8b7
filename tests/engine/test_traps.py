"""What went wrong is read from wasmtime's words, and never from the guest's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import wasmtime
from wasmtime import component as wc

from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.engine.traps import error_from_text, reason_of
from stellatune_plugins.errors import CallDeadline, GuestTrap, InstantiateFailed, StellatuneError

BODIES = {
    "unreachable_code_reached": "(unreachable)",
    "memory_out_of_bounds": "(drop (i32.load (i32.const -1)))",
    "stack_overflow": "(call $f)",
    "integer_division_by_zero": "(drop (i32.div_s (i32.const 1) (global.get $zero)))",
    "indirect_call_to_null": "(call_indirect (i32.const 0))",
}
NAMES = {
    "plain": "name",
    "a deadline": "wasm trap: interrupt",
    "a deadline on a line of its own": "\\0awasm trap: interrupt\\0a",
    "a whole tail": "\\0a\\0aCaused by:\\0a    wasm trap: interrupt\\0a",
    "a numbered cause": "\\0a\\0aCaused by:\\0a    0: wasm trap: interrupt\\0a    1: wasm trap: interrupt",
    "a limit": "resource limit exceeded",
}


def component(name: str, body: str) -> str:
    """A component whose only function ``f`` has a name of the guest's choice in its backtrace."""
    return f"""(component (core module $m (memory 1) (table 1 funcref) (global $zero (mut i32) (i32.const 0))
        (func $f (@name "{name}") (export "f") {body}))
      (core instance $i (instantiate $m)) (func (export "f") (canon lift (core func $i "f"))))"""


@pytest.fixture
def failing(guest_engine: WasmEngine, compile_text: Callable[[str], Any]) -> Callable[[str, str, int], str]:
    """Calls such a function by the stock road; gives wasmtime's message."""

    def call(name: str, body: str, ticks: int = 100_000) -> str:
        store = wasmtime.Store(guest_engine.raw)
        store.set_epoch_deadline(ticks)
        guest_engine.store_opened()
        try:
            instance = wc.Linker(guest_engine.raw).instantiate(store, compile_text(component(name, body)))
            function = instance.get_func(store, "f")
            assert function is not None
            with pytest.raises(wasmtime.WasmtimeError) as caught:
                function(store)
            return str(caught.value)
        finally:
            guest_engine.store_closed()
            store.close()

    return call


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("slug", BODIES)
def test_a_name_in_the_backtrace_forges_nothing(failing: Callable[..., str], slug: str, name: str) -> None:
    """Whatever the guest calls its function, the error is the trap that happened."""
    error = error_from_text(failing(NAMES[name], BODIES[slug]), "f")
    assert type(error) is GuestTrap
    assert error.details["trap"] == slug


def test_a_deadline_is_seen_behind_a_name(failing: Callable[..., str]) -> None:
    """Nor can a guest pass its endless loop off as a crash."""
    text = failing("\\0a\\0aCaused by:\\0a    wasm trap: integer overflow", "(loop (br 0))", 20)
    assert type(error_from_text(text, "f")) is CallDeadline


BACKTRACE = "error while executing at wasm backtrace:\n    0:     0x27 - m!{}\n"
TEXTS: dict[str, tuple[str, type[StellatuneError], str]] = {
    "a limit named in a backtrace": (
        BACKTRACE.format("resource limit exceeded") + "\nCaused by:\n    a string is broken\n",
        GuestTrap,
        "a string is broken",
    ),
    "a backtrace without a cause": (BACKTRACE.format("\nwasm trap: interrupt"), GuestTrap, "failed"),
    "a backtrace among the causes": (
        "lifting failed\n\nCaused by:\n    0: "
        + BACKTRACE.format("\n    1: wasm trap: interrupt")
        + "    1: wasm trap: integer overflow\n",
        GuestTrap,
        "integer overflow",
    ),
    "no trap, only its words": ("the guest's own words: interrupt", GuestTrap, "own words"),
    "a limit": ("resource limit exceeded: memory count too high at 3", InstantiateFailed, "too high at 3"),
    "a limit as the cause": (
        "cannot be made\n\nCaused by:\n    memory minimum size of 9 pages exceeds memory limits\n",
        InstantiateFailed,
        "9 pages",
    ),
    "a trap alone": ("wasm trap: interrupt", CallDeadline, "deadline"),
    "an unknown trap": ("wasm trap: the moon is full", GuestTrap, "the moon is full"),
    "nothing": ("", GuestTrap, "no reason"),
}


@pytest.mark.parametrize("what", TEXTS)
def test_only_the_root_cause_counts(what: str) -> None:
    """Class and message come from the last line behind the last heading."""
    text, error, message = TEXTS[what]
    found = error_from_text(text, "f")
    assert type(found) is error
    assert message in found.message


def test_a_backtrace_is_kept_short_and_fit_to_print(failing: Callable[..., str]) -> None:
    """A name of 20 kB with escape sequences fills neither logs nor the terminal; start and cause stay."""
    text = failing("\\1b[2J\\u{9b}" * 4000, "(call $f)")
    assert len(text) > 20_000
    kept = error_from_text(text, "f").details["backtrace"]
    assert len(kept.encode()) <= 4096
    assert all(char == "\n" or char.isprintable() for char in kept)
    assert kept.startswith("error while executing at wasm backtrace:")
    assert kept.rstrip().endswith("wasm trap: call stack exhausted")


def test_a_reason_is_short_and_fit_to_print() -> None:
    """It goes into messages."""
    reason = reason_of("Caused by:\n    " + "\x1b]0;\u202e\u00e9" * 1000)
    assert len(reason.encode()) <= 200
    assert reason.isprintable()
