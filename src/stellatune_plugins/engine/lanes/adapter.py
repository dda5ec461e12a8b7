"""The core code of a component's lanes, as text.

Two modules. The *home* is a memory of the lanes' own with an allocator, since what is lifted and lowered has to lie
in a memory, and the guest's is the guest's. The *adapter* works on both memories: it splits bytes of the guest into
two planes at home, and merges planes at home into bytes of the guest.

The home's memory begins with an area for each function's result; behind them the allocator hands out space from
``TOP`` on, as a stack: whoever allocates puts ``$top`` back, except that the result of an export stays until the next
call of one. Nothing else ever writes there, so what a lane gives to the host is two planes of ASCII, whatever the
guest does. Bytes that a guest does not have, or too many of them, become a string of the odd length 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from stellatune_plugins.engine.lanes.bulk import BYTES, BulkFunction
from stellatune_plugins.engine.lanes.taps import ExportTap, ImportTap

MOST_BYTES: Final = 4 << 20
"""What one call may carry out of a guest; by ``list<u8>`` it is a little less."""
_AREAS: Final = 64
_AREA_BYTES: Final = 32
TOP: Final = 1024

HOME: Final = f"""(module
  (memory (export "memory") 1)
  (global $top (export "top") (mut i32) (i32.const {TOP}))
  (func (export "realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32) (local $end i64) (local $have i64)
    (local.set $at (i32.and
      (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
      (i32.sub (i32.const 0) (local.get $align))))
    (local.set $end (i64.add (i64.extend_i32_u (local.get $at)) (i64.extend_i32_u (local.get $size))))
    (local.set $have (i64.shl (i64.extend_i32_u (memory.size)) (i64.const 16)))
    (if (i64.gt_u (local.get $end) (local.get $have)) (then
      (if (i32.eq (i32.const -1) (memory.grow (i32.wrap_i64 (i64.shr_u
            (i64.add (i64.sub (local.get $end) (local.get $have)) (i64.const 0xffff)) (i64.const 16)))))
        (then unreachable))))
    (memory.copy (local.get $at) (local.get $old) (local.get $old_size))
    (global.set $top (i32.wrap_i64 (local.get $end)))
    (local.get $at)))"""

_HEAD_IMPORTS: Final = """
  (import "" "memory" (memory $home 1))
  (import "" "top" (global $top (mut i32)))
  (import "" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))"""
_TAKE: Final = """
  (func $take (param $size i32) (result i32)
    (call $realloc (i32.const 0) (i32.const 0) (i32.const 16) (local.get $size)))"""

# Four vectors a turn: the check of the epoch at each turn would cost more than the work of one.
_SWEEP: Final = """
  (func ${name}{k} (param $from i32) (param $size i32) (param $to i32)
    (local $high i32) (local $end i32)
    (local.set $high (i32.add (local.get ${planes}) (local.get $size)))
    (local.set $end (i32.add (local.get $from) (local.get $size)))
    (block $done (loop $more
      (br_if $done (i32.lt_u (i32.sub (local.get $end) (local.get $from)) (i32.const 64)))
      {vectors}
      (local.set $from (i32.add (local.get $from) (i32.const 64)))
      (local.set $to (i32.add (local.get $to) (i32.const 64)))
      (local.set $high (i32.add (local.get $high) (i32.const 64)))
      (br $more)))
    (block $done (loop $more
      (br_if $done (i32.eq (local.get $from) (local.get $end)))
      {byte}
      (local.set $from (i32.add (local.get $from) (i32.const 1)))
      (local.set $to (i32.add (local.get $to) (i32.const 1)))
      (local.set $high (i32.add (local.get $high) (i32.const 1)))
      (br $more))))"""


def _split(k: int) -> str:
    """Guest memory ``k`` at ``from`` to two planes at ``to``."""
    vectors = "".join(
        f"""
      (local.set $v (v128.load $m{k} offset={at} (local.get $from)))
      (v128.store $home offset={at} (local.get $to) (v128.and (local.get $v) (v128.const i8x16{" 0x7f" * 16})))
      (v128.store $home offset={at} (local.get $high) (i8x16.shr_u (local.get $v) (i32.const 7)))"""
        for at in (0, 16, 32, 48)
    )
    byte = f"""(local.set $b (i32.load8_u $m{k} (local.get $from)))
      (i32.store8 $home (local.get $to) (i32.and (local.get $b) (i32.const 0x7f)))
      (i32.store8 $home (local.get $high) (i32.shr_u (local.get $b) (i32.const 7)))"""
    text = _SWEEP.format(name="split", planes="to", k=k, vectors=vectors, byte=byte)
    return text.replace("(local $end i32)", "(local $end i32) (local $v v128) (local $b i32)")


def _merge(k: int) -> str:
    """Two planes at ``from`` to guest memory ``k`` at ``to``."""
    vectors = "".join(
        f"""
      (v128.store $m{k} offset={at} (local.get $to) (v128.or
        (v128.load $home offset={at} (local.get $from))
        (i8x16.shl (v128.load $home offset={at} (local.get $high)) (i32.const 7))))"""
        for at in (0, 16, 32, 48)
    )
    byte = f"""(i32.store8 $m{k} (local.get $to) (i32.or
        (i32.load8_u $home (local.get $from))
        (i32.shl (i32.load8_u $home (local.get $high)) (i32.const 7))))"""
    return _SWEEP.format(name="merge", planes="from", k=k, vectors=vectors, byte=byte)


def _spread(k: int) -> str:
    """Bytes of guest memory ``k`` as planes at home; gives where, and how long the string is."""
    return f"""
  (func $spread{k} (param $from i32) (param $size i32) (result i32 i32) (local $to i32)
    (if (i32.or (i32.gt_u (local.get $size) (i32.const {MOST_BYTES}))
          (i64.gt_u (i64.add (i64.extend_i32_u (local.get $from)) (i64.extend_i32_u (local.get $size)))
            (i64.shl (i64.extend_i32_u (memory.size $m{k})) (i64.const 16))))
      (then (return (i32.const 0) (i32.const 1))))
    (local.set $to (call $take (i32.shl (local.get $size) (i32.const 1))))
    (call $split{k} (local.get $from) (local.get $size) (local.get $to))
    (local.get $to) (i32.shl (local.get $size) (i32.const 1)))"""


def _gather(k: int, r: int) -> str:
    """Planes at home as bytes in guest memory ``k``, in space from its allocator ``r``; gives where."""
    return f"""
  (func $gather{k}_{r} (param $from i32) (param $size i32) (result i32) (local $to i32)
    (local.set $to (call $r{r} (i32.const 0) (i32.const 0) (i32.const 1) (local.get $size)))
    (call $merge{k} (local.get $from) (local.get $size) (local.get $to))
    (local.get $to))
  (func $hand{k}_{r} (param $from i32) (param $size i32) (result i32) (local $to i32)
    (local.set $to (call $r{r} (i32.const 0) (i32.const 0) (i32.const 1) (local.get $size)))
    (memory.copy $m{k} $home (local.get $to) (local.get $from) (local.get $size))
    (local.get $to))"""


def _area(number: int) -> int:
    """Where a function's result lies at home."""
    return _AREAS + _AREA_BYTES * number


def _params(bulk: BulkFunction) -> tuple[int, int | None]:
    """How many core parameters there are with the resource, and which one is the address of bytes."""
    at = bulk.flat.index(BYTES) + 1 if BYTES in bulk.flat else None
    return 1 + len(bulk.flat), at


def _head_bytes(bulk: BulkFunction) -> int:
    """The size of the result: how the case is told, then the larger of the good outcome and an error."""
    return 4 + max(12, 4 * (len(bulk.fields) + 1))


def _export(tap: ExportTap, index: int, area: int, k: int, r: int) -> str:
    count, at = _params(tap.bulk)
    gets = " ".join(f"(local.get {place})" for place in range(count))
    before = ""
    if at is not None:
        before = f"""
    (local.set {at + 1} (i32.shr_u (local.get {at + 1}) (i32.const 1)))
    (local.set {at} (call $gather{k}_{r} (local.get {at}) (local.get {at + 1})))"""
    good = ""
    if tap.bulk.gives_bytes:
        good = f"""(else
      (call $spread{k} (i32.load $home (i32.const {area + 4})) (i32.load $home (i32.const {area + 8})))
      (local.set $size) (local.set $at)
      (i32.store $home (i32.const {area + 4}) (local.get $at))
      (i32.store $home (i32.const {area + 8}) (local.get $size)))"""
    after = f"(call $post{index} (local.get $result))" if tap.post_return is not None else ""
    return f"""
  (func (export "x{index}") (param{" i32" * count}) (result i32)
    (local $result i32) (local $at i32) (local $size i32){before}
    (global.set $top (i32.const {TOP}))
    (local.set $result (call $f{index} {gets}))
    (memory.copy $home $m{k} (i32.const {area}) (local.get $result) (i32.const {_head_bytes(tap.bulk)}))
    (if (i32.load8_u $home (i32.const {area})) (then
      (local.set $size (i32.load $home (i32.const {area + 12})))
      (if (i32.gt_u (local.get $size) (i32.const {MOST_BYTES})) (then unreachable))
      (local.set $at (call $take (local.get $size)))
      (memory.copy $home $m{k} (local.get $at) (i32.load $home (i32.const {area + 8})) (local.get $size))
      (i32.store $home (i32.const {area + 8}) (local.get $at))){good})
    {after}
    (i32.const {area}))"""


def _import(tap: ImportTap, index: int, area: int, k: int, r: int) -> str:
    count, at = _params(tap.bulk)
    gets = " ".join(f"(local.get {place})" for place in range(count))
    before = after = ""
    if at is not None:
        before = f"""
    (call $spread{k} (local.get {at}) (local.get {at + 1})) (local.set {at + 1}) (local.set {at})"""
    if tap.bulk.gives_bytes:
        after = f"""
      (else
        (local.set $second (i32.shr_u (local.get $second) (i32.const 1)))
        (local.set $first (call $gather{k}_{r} (local.get $first) (local.get $second))))"""
    # The result's words: the case; then the address and length of bytes, or an error's case, address and length.
    return f"""
  (func $i{index} (param{" i32" * count}) (param $result i32)
    (local $mark i32) (local $failed i32) (local $first i32) (local $second i32) (local $third i32)
    (local.set $mark (global.get $top)){before}
    (call $h{index} {gets} (i32.const {area}))
    (local.set $failed (i32.load8_u $home (i32.const {area})))
    (local.set $first (i32.load $home (i32.const {area + 4})))
    (local.set $second (i32.load $home (i32.const {area + 8})))
    (local.set $third (i32.load $home (i32.const {area + 12})))
    (if (local.get $failed)
      (then (local.set $second (call $hand{k}_{r} (local.get $second) (local.get $third)))){after})
    (i32.store8 $m{k} (local.get $result) (local.get $failed))
    (i32.store $m{k} offset=4 (local.get $result) (local.get $first))
    (i32.store $m{k} offset=8 (local.get $result) (local.get $second))
    (i32.store $m{k} offset=12 (local.get $result) (local.get $third))
    (global.set $top (local.get $mark)))
  (elem (table $t{index}) (i32.const {tap.slot}) func $i{index})"""


class AdapterText:
    """The adapter for some taps. All that it imports comes from the module ``""``.

    Args:
        exports: served as ``x0``, ``x1`` and so on.
        imports: put into their tables when the adapter is instantiated.
    """

    def __init__(self, exports: Sequence[ExportTap], imports: Sequence[ImportTap]) -> None:
        taps: list[ExportTap | ImportTap] = [*exports, *imports]
        self.memories = list(dict.fromkeys(tap.memory for tap in taps))
        self.reallocs = list(dict.fromkeys(tap.realloc for tap in taps if tap.realloc is not None))
        pairs = {self._places(tap) for tap in taps if tap.realloc is not None}
        self._parts = [_HEAD_IMPORTS]
        self._parts += [f'\n  (import "" "m{k}" (memory $m{k} 0))' for k in range(len(self.memories))]
        self._parts += [
            f'\n  (import "" "r{r}" (func $r{r} (param i32 i32 i32 i32) (result i32)))'
            for r in range(len(self.reallocs))
        ]
        for index, export in enumerate(exports):
            signature = f"(param{' i32' * _params(export.bulk)[0]})"
            self._parts.append(f'\n  (import "" "f{index}" (func $f{index} {signature} (result i32)))')
            if export.post_return is not None:
                self._parts.append(f'\n  (import "" "post{index}" (func $post{index} (param i32)))')
        for index, imported in enumerate(imports):
            signature = f"(param{' i32' * (_params(imported.bulk)[0] + 1)})"
            self._parts.append(f'\n  (import "" "h{index}" (func $h{index} {signature}))')
            self._parts.append(f'\n  (import "" "t{index}" (table $t{index} 0 funcref))')
        self._parts.append(_TAKE)
        for k in range(len(self.memories)):
            self._parts += [_split(k), _merge(k), _spread(k)]
        self._parts += [_gather(k, r) for k, r in sorted(pairs)]
        for index, export in enumerate(exports):
            self._parts.append(_export(export, index, _area(index), *self._places(export)))
        for index, imported in enumerate(imports):
            self._parts.append(_import(imported, index, _area(len(exports) + index), *self._places(imported)))

    def __str__(self) -> str:
        return f"(module{''.join(self._parts)})"

    def _places(self, tap: ExportTap | ImportTap) -> tuple[int, int]:
        return self.memories.index(tap.memory), -1 if tap.realloc is None else self.reallocs.index(tap.realloc)
