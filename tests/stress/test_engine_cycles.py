"""Instances and calls by the thousand: memory and descriptors stay flat.

At full size 10,000 cycles of each kind and 200,000 calls. Stock wasmtime-py leaks 48 bytes for every payload it lifts.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
from echo_guests import echo_component
from failing_guest import TEXT
from wasmtime import component as wc

from stellatune_plugins.engine import (
    ComponentInstance,
    Err,
    GuestStore,
    HostImports,
    Ok,
    Some,
    Variant,
    WasmEngine,
)
from stellatune_plugins.engine.assemble import assemble
from stellatune_plugins.engine.codec.function import PLUGIN_ERROR
from stellatune_plugins.engine.wit_types import (
    EnumOf,
    FlagsOf,
    ListOf,
    OptionOf,
    Primitive,
    RecordOf,
    ResultOf,
    TupleOf,
    VariantOf,
    WitType,
)
from stellatune_plugins.errors import GuestTrap, HostImportFailed, ValueInvalid

pytestmark = [pytest.mark.stress, pytest.mark.timeout(3600)]

STRING, U32 = Primitive("string"), Primitive("u32")
EVERYTHING = RecordOf((
    ("text", STRING),
    ("option", OptionOf(OptionOf(STRING))),
    ("list", ListOf(TupleOf((STRING, U32)))),
    ("variant", VariantOf((("none", None), ("some", ListOf(Primitive("u8")))))),
    ("enum", EnumOf(("one", "two"))),
    ("flags", FlagsOf(("a", "b", "c"))),
))  # fmt: skip
VALUE = {
    "text": "some text that is not short enough to be free",
    "option": Some(Some("x" * 50)),
    "list": [("a" * 40, 1), ("b" * 40, 2)],
    "variant": Variant("some", bytes(64)),
    "enum": "two",
    "flags": frozenset({"a", "c"}),
}


@pytest.fixture
def engine() -> Iterator[WasmEngine]:
    """An engine of its own."""
    with WasmEngine() as engine:
        yield engine


BLOCKS = 5


def growth(work: Callable[[], Any], rounds: int, warm_up: int) -> tuple[float, int]:
    """Bytes that a round takes for good, and descriptors that all of them took.

    The median of several blocks: a leak is in every one of them, what an allocator does now and then is not.
    """
    process = psutil.Process()
    for _ in range(warm_up):
        work()
    gc.collect()
    files = process.num_fds()
    taken = []
    for _ in range(BLOCKS):
        before = process.memory_info().rss
        for _ in range(rounds // BLOCKS):
            work()
        gc.collect()
        taken.append(process.memory_info().rss - before)
    return statistics.median(taken) / (rounds // BLOCKS), process.num_fds() - files


def echoing(engine: WasmEngine, kind: WitType, answer: Callable[[Any], Any]) -> ComponentInstance:
    """An instance whose export gives back what ``answer`` makes of its argument."""
    imports = HostImports()
    imports.add("", "x", answer)
    component = wc.Component(engine.raw, assemble(echo_component([("x", kind)])))
    return ComponentInstance(GuestStore(engine), component, imports, label="leaks", deadline=30.0)


CALLS: list[tuple[str, WitType, Any]] = [
    ("result-option-string", ResultOf(OptionOf(STRING), PLUGIN_ERROR), Ok(Some("text"))),
    ("result-error", ResultOf(OptionOf(STRING), PLUGIN_ERROR), Err(Variant("io", "no"))),
    ("everything", EVERYTHING, VALUE),
    ("bytes", ListOf(Primitive("u8")), bytes(300)),
]


@pytest.mark.parametrize(("kind", "value"), [call[1:] for call in CALLS], ids=[call[0] for call in CALLS])
def test_calls_do_not_leak(
    engine: WasmEngine, kind: WitType, value: Any, stress_size: Callable[[int, int], int]
) -> None:
    """Four conversions a call, each of payloads in boxes: 8 bytes a call would show."""
    calls = stress_size(10_000, 200_000)
    instance = echoing(engine, kind, lambda echoed: echoed)
    echo = instance.function("", "echo-x")
    memory, files = growth(lambda: echo(value), calls, 2_000)
    instance.close()
    instance.store.close()
    assert memory < 8
    assert files == 0


def test_refused_values_do_not_leak(engine: WasmEngine, stress_size: Callable[[int, int], int]) -> None:
    """A value that turns out wrong at its end has nothing to be freed."""
    calls = stress_size(10_000, 200_000)
    instance = echoing(engine, TupleOf((EVERYTHING, U32)), lambda echoed: echoed)
    echo = instance.function("", "echo-x")

    def refused() -> None:
        try:
            echo((VALUE, -1))
        except ValueInvalid:
            return
        raise AssertionError

    memory, _ = growth(refused, calls, 2_000)
    instance.close()
    instance.store.close()
    assert memory < 8


@pytest.mark.parametrize("end", ["drop", "trap", "raise"])
def test_instances_leave_nothing(engine: WasmEngine, end: str, stress_size: Callable[[int, int], int]) -> None:
    """Made, used, ended in one of three ways, and made again."""
    cycles = stress_size(500, 10_000)
    component = wc.Component(engine.raw, assemble(TEXT))

    def fail(_number: int) -> Any:
        raise OSError("defect")

    def cycle() -> None:
        imports = HostImports()
        imports.add("", "plain", fail if end == "raise" else lambda n: n)
        imports.add("", "fallible", Ok)
        with (
            GuestStore(engine) as store,
            ComponentInstance(store, component, imports, label="cycle", deadline=30.0) as instance,
        ):
            assert instance.function("", "text")() == Ok(Some("\0" * 40))
            if end == "trap":
                with pytest.raises(GuestTrap):
                    instance.function("", "trap")()
            elif end == "raise":
                with pytest.raises(HostImportFailed):
                    instance.function("", "plain")(1)
            else:
                assert instance.function("", "plain")(1) == 1

    memory, files = growth(cycle, cycles, 200)
    assert memory < 200
    assert files == 0
