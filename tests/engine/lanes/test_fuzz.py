"""Damaged and hostile components: read within their bounds, refused by one error, never made valid by lanes."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator

import pytest
import wasmtime
from bulk_guests import WORLDS, bulk_wasm
from wasmtime import component as wc

from stellatune_plugins.engine import WasmEngine
from stellatune_plugins.engine.lanes import Graft, LayoutUnknown, graft_lanes


def sections(wasm: bytes) -> list[bytes]:
    """A component's sections, heads included."""
    parts, at = [], 8
    while at < len(wasm):
        start = at
        at += 1
        size = shift = 0
        while True:
            byte = wasm[at]
            at += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        at += size
        parts.append(wasm[start:at])
    return parts


def mutants(wasm: bytes, chance: random.Random) -> Iterator[bytes]:
    """Without end: bytes changed, cut, repeated or moved, sections dropped, repeated or swapped, code left alone."""
    parts = sections(wasm)
    small = [index for index, part in enumerate(parts) if len(part) < 1500]
    while True:
        changed = list(parts)
        match chance.randrange(8):
            case 0 | 1 | 2:  # one byte of the wiring, where a flip means another index, sort or count
                index = chance.choice(small)
                part = bytearray(changed[index])
                part[chance.randrange(len(part))] = chance.choice(
                    (0, 1, 2, 3, 4, 5, 0x7F, 0x80, 0xFF, chance.randrange(256))
                )
                changed[index] = bytes(part)
            case 3:
                del changed[chance.choice(small)]
            case 4:
                changed.insert(chance.randrange(len(changed)), chance.choice(changed))
            case 5:
                one, other = chance.choice(small), chance.choice(small)
                changed[one], changed[other] = changed[other], changed[one]
            case 6:
                yield wasm[: chance.randrange(len(wasm))]
                continue
            case 7:
                data = bytearray(wasm)
                for _ in range(chance.randrange(1, 20)):
                    data[chance.randrange(len(data))] = chance.randrange(256)
                yield bytes(data)
                continue
        yield wasm[:8] + b"".join(changed)


def attempt(wasm: bytes) -> Graft | None:
    """Graft, and let nothing but the reader's own error pass for a refusal."""
    with contextlib.suppress(LayoutUnknown):
        return graft_lanes(wasm)
    return None


def valid(engine: WasmEngine, wasm: bytes) -> bool:
    """Whether wasmtime takes a component."""
    try:
        wc.Component(engine.raw, wasm)
    except wasmtime.WasmtimeError:
        return False
    return True


@pytest.mark.parametrize("interface", list(WORLDS))
def test_the_reader_raises_nothing_but_its_own_error(interface: str, stress_size: Callable[[int, int], int]) -> None:
    """Whatever was done to a component; what is grafted still begins with it."""
    wasm = bulk_wasm(interface)
    source = mutants(wasm, random.Random(interface))
    grafts = 0
    for _ in range(stress_size(400, 50_000)):
        mutant = next(source)
        graft = attempt(mutant)
        if graft is not None:
            grafts += 1
            assert graft.wasm.startswith(mutant)
            assert graft.lanes
    assert grafts > 20


def test_random_bytes_are_refused(stress_size: Callable[[int, int], int]) -> None:
    """Behind a component's head, so that they are read at all."""
    chance = random.Random(5)
    for _ in range(stress_size(1000, 100_000)):
        attempt(b"\0asm\x0d\0\1\0" + chance.randbytes(chance.randrange(200)))


def test_lanes_never_make_a_bad_component_good(
    guest_engine: WasmEngine, stress_size: Callable[[int, int], int]
) -> None:
    """What compiles with lanes compiles without, so falling back to the plain plugin loses nothing."""
    compiled = refused = 0
    for seed, interface in enumerate(WORLDS):
        source = mutants(bulk_wasm(interface), random.Random(seed))
        for _ in range(stress_size(30, 1000)):
            mutant = next(source)
            graft = attempt(mutant)
            if graft is None:
                continue
            if valid(guest_engine, graft.wasm):
                compiled += 1
                assert valid(guest_engine, mutant)
            else:
                refused += 1
    assert compiled > 5
    assert refused > 5
