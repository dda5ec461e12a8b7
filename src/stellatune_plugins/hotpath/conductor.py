"""The conductor: a module that drives a whole chain in one host call, written afresh for each chain's shape.

It imports the bus and each stage's memory and ``process``. For each block and each stage it copies the block from the
bus into the stage, calls it, checks what came back, and copies the result onto the bus. It believes nothing: return
code, frame count, flags, memory size and every sample are checked, and at the first breach it returns 1 and leaves
word in the bus.

Exactness after a trap or an epoch interrupt rests on two rules. A block's samples change only in straight-line code, by
``memory.copy``, right before DONE is set; epochs interrupt only at loop heads and function entries, so a block is on
the bus either before a stage or behind it, never half-way. And the dry line is indexed by the frame's place in the
batch, so writing it twice is writing it once.
"""

from __future__ import annotations

from collections.abc import Iterator

from stellatune_plugins.contract.hot_path_abi import ProcessFlag
from stellatune_plugins.hotpath import layout
from stellatune_plugins.hotpath.layout import BusLayout, Fault, Mapping, StageAddresses, StageShape

_EXPONENT = 0x7F80_0000
"""The bits that are all ones in NaN and infinity, and in nothing else (IEEE 754 binary32)."""
_KNOWN_FLAGS = int(ProcessFlag.EOF | ProcessFlag.DRAINED | ProcessFlag.NEED_RESET)
_UNROLL = 8
"""128 bytes a turn: an epoch check costs as much as a load."""


def bus_module(pages: int) -> str:
    """The module that owns the bus, so that it outlives any conductor."""
    return f'(module (memory (export "bus") {pages} {pages}))'


def conductor_module(shapes: tuple[StageShape, ...], bus: BusLayout) -> str:
    """The conductor's text. Imports: ``bus.memory``, and ``s<stage>i<instance>`` ``memory`` and ``process``.

    Export: ``run(position, stage, first, end, block, total, stride) -> i32``: stages ``first`` to ``end`` over the
    frames from ``position`` to ``total``, of ``stride`` bytes each, the first block from ``stage`` on; 0 when all is
    done, 1 for a fault.
    """
    return "\n".join(
        (
            "(module",
            f'(import "bus" "memory" (memory $bus {bus.pages}))',
            *_imports(shapes),
            _fault_function(),
            _scan_function("bus"),
            *(
                _stage_functions(index, shape, where)
                for index, (shape, where) in enumerate(zip(shapes, bus.stages, strict=True))
            ),
            _run_function(shapes, bus),
            ")",
        )
    )


def _name(stage: int, instance: int) -> str:
    return f"s{stage}i{instance}"


def _imports(shapes: tuple[StageShape, ...]) -> Iterator[str]:
    # Functions and memories have separate index spaces, but imports must come before all definitions.
    for stage, shape in enumerate(shapes):
        for instance in range(shape.instances):
            name = _name(stage, instance)
            yield f'(import "{name}" "memory" (memory ${name} 0))'
            yield f'(import "{name}" "process" (func $p{name} (param i32 i32 i32 i32) (result i32)))'


def _set(address: int, value: str) -> str:
    return f"(i32.store $bus (i32.const {address}) {value})"


def _const(value: int) -> str:
    return f"(i32.const {value})"


def _fault_function() -> str:
    return f"""(func $fault (param $kind i32) (param $value i32) (result i32)
  {_set(layout.FAULT, "(local.get $kind)")} {_set(layout.VALUE, "(local.get $value)")} (i32.const 1))"""


def _fault(kind: Fault, value: str) -> str:
    """Leave at once."""
    return f"(return (call $fault {_const(kind)} {value}))"


def _bad(kind: Fault, value: str) -> str:
    """Note that the block is bad, and go on with the next instance, so that all of them see every block."""
    return f"(local.set $bad {_const(kind)}) (local.set $bad_value {value}) (br $instance)"


def _scan_function(memory: str) -> str:
    """Whether ``bytes`` (a multiple of 4) at ``p`` hold a sample that is not finite."""
    mask = f"(v128.const i32x4 {_EXPONENT} {_EXPONENT} {_EXPONENT} {_EXPONENT})"

    def fold(load: str) -> str:
        return f"(local.set $worst (i32x4.max_u (local.get $worst) (v128.and {load} {mask})))"

    wide = " ".join(fold(f"(v128.load ${memory} offset={16 * k} align=4 (local.get $p))") for k in range(_UNROLL))

    def loop(label: str, step: int, body: str) -> str:
        return f"""(block $end{label} (loop ${label}
    (br_if $end{label} (i32.lt_u (local.get $bytes) {_const(step)})) {body}
    (local.set $p (i32.add (local.get $p) {_const(step)}))
    (local.set $bytes (i32.sub (local.get $bytes) {_const(step)})) (br ${label})))"""

    return f"""(func $scan_{memory} (param $p i32) (param $bytes i32) (result i32) (local $worst v128)
  {loop("wide", 16 * _UNROLL, wide)}
  {loop("four", 16, fold(f"(v128.load ${memory} align=4 (local.get $p))"))}
  {loop("one", 4, fold(f"(v128.load32_zero ${memory} (local.get $p))"))}
  (v128.any_true (i32x4.eq (local.get $worst) {mask})))"""


def _call_process(name: str, instance: int, record: int) -> str:
    """Call one instance and check everything that it reports. Inside a block $instance."""
    soft, reset = int(ProcessFlag.SOFT_ERROR), int(ProcessFlag.NEED_RESET)
    unknown = 0xFFFF_FFFF & ~(_KNOWN_FLAGS | soft)
    return f"""
  (local.set $scratch (i32.load $bus {_const(record + 4)}))
  (i64.store ${name} align=4 (local.get $scratch) (i64.const 0))
  (local.set $got (call $p{name} (i32.load $bus {_const(record)}) (local.get $n)
    (local.get $scratch) (i32.add (local.get $scratch) (i32.const 4))))
  (if (i32.ne (memory.size ${name}) (i32.load $bus {_const(record + 8)}))
    (then {_fault(Fault.GREW, f"(memory.size ${name})")}))
  (if (local.get $got) (then {_bad(Fault.CODE, "(local.get $got)")}))
  (local.set $flags (i32.load ${name} offset=4 (local.get $scratch)))
  (if (i32.and (local.get $flags) {_const(unknown)}) (then {_fault(Fault.FLAGS, "(local.get $flags)")}))
  (if (i32.and (local.get $flags) {_const(soft)}) (then {_bad(Fault.FLAGS, "(local.get $flags)")}))
  (local.set $got (i32.load ${name} (local.get $scratch)))
  (if (i32.ne (local.get $got) (local.get $n)) (then {_fault(Fault.FRAMES, "(local.get $got)")}))
  (if (i32.and (local.get $flags) {_const(reset)}) (then
    (local.set $reset (i64.or (local.get $reset) (i64.const {1 << instance})))))"""


def _scan(name: str, shape: StageShape) -> str:
    stride = 4 * shape.stage_channels
    return f"""
  (if (call $scan_{name} {_const(shape.output)} (i32.mul (local.get $n) {_const(stride)}))
    (then {_bad(Fault.NOT_FINITE, "(i32.const 0)")}))"""


def _each_frame(body: str) -> str:
    """A loop over frames with $from and $to advanced by the body."""
    return f"""(local.set $left (local.get $n)) (block $done (loop $next (br_if $done (i32.eqz (local.get $left)))
    {body} (local.set $left (i32.sub (local.get $left) (i32.const 1))) (br $next)))"""


def _advance(name: str, step: int) -> str:
    return f"(local.set ${name} (i32.add (local.get ${name}) {_const(step)}))"


def _through(stage: int, shape: StageShape, where: StageAddresses) -> str:
    """Bring the block to the stage's instances, call them, and leave the result on the bus."""
    bytes_, at = "(local.get $bytes)", "(local.get $at)"
    leave_if_bad = "(if (local.get $bad) (then (return (call $fault (local.get $bad) (local.get $bad_value)))))"
    if shape.mapping is Mapping.DIRECT:
        name = _name(stage, 0)
        return f"""
  (block $instance
  (memory.copy ${name} $bus {_const(shape.input)} {at} {bytes_})
  {_call_process(name, 0, where.records[0])} {_scan(name, shape)})
  {leave_if_bad}
  (memory.copy $bus ${name} {at} {_const(shape.output)} {bytes_})"""
    spread = _const(where.spread)
    # Channels that pass round the stage come from the dry line.
    dry = "(local.get $late)" if shape.keeps_dry else at
    parts = [f"(memory.copy $bus $bus {spread} {dry} {bytes_})"]
    for instance in range(shape.instances):
        name = _name(stage, instance)
        gather, scatter, step = _moves(name, shape)
        parts.append(f"""
  (block $instance
  (local.set $from (i32.add {at} {_const(4 * instance)})) (local.set $to {_const(shape.input)})
  {_each_frame(gather + _advance("from", shape.stride) + _advance("to", step))}
  {_call_process(name, instance, where.records[instance])} {_scan(name, shape)}
  (local.set $from {_const(shape.output)}) (local.set $to (i32.add {spread} {_const(4 * instance)}))
  {_each_frame(scatter + _advance("from", step) + _advance("to", shape.stride))})""")
    return "\n".join([*parts, leave_if_bad, f"(memory.copy $bus $bus {at} {spread} {bytes_})"])


def _moves(name: str, shape: StageShape) -> tuple[str, str, int]:
    """For one frame: bus to stage, stage to bus, and the bytes of a frame in the stage."""
    if shape.mapping is Mapping.FRONT_PAIR:
        return (
            f"(i64.store ${name} align=4 (local.get $to) (i64.load $bus align=4 (local.get $from)))",
            f"(i64.store $bus align=4 (local.get $to) (i64.load ${name} align=4 (local.get $from)))",
            8,
        )
    if shape.mapping is Mapping.PER_CHANNEL:
        return (
            f"(i32.store ${name} (local.get $to) (i32.load $bus (local.get $from)))",
            f"(i32.store $bus (local.get $to) (i32.load ${name} (local.get $from)))",
            4,
        )
    return (
        (
            f"(i32.store ${name} (local.get $to) (i32.load $bus (local.get $from)))"
            f"(i32.store ${name} offset=4 (local.get $to) (i32.load $bus (local.get $from)))"
        ),
        (
            # Halved before they are added: the sum of two large samples is none that was looked at.
            f"(f32.store $bus (local.get $to) (f32.add"
            f" (f32.mul (f32.const 0.5) (f32.load ${name} (local.get $from)))"
            f" (f32.mul (f32.const 0.5) (f32.load ${name} offset=4 (local.get $from)))))"
        ),
        8,
    )


def _dry_line(shape: StageShape, where: StageAddresses) -> str:
    """Write the block into the dry line; $late is where it comes out, late."""
    if not shape.keeps_dry:
        return ""
    now = f"(i32.add {_const(where.dry + shape.delay * shape.stride)} (local.get $offset))"
    behind = f"(i32.mul (i32.load $bus {_const(where.latency)}) {_const(shape.stride)})"
    return f"""(local.set $late {now})
  (memory.copy $bus $bus (local.get $late) (local.get $at) (local.get $bytes))
  (local.set $late (i32.sub (local.get $late) {behind}))"""


def _note_dry(shape: StageShape, where: StageAddresses) -> str:
    """Hold on to the last frame of the dry block, which is about to be overwritten. Needs local $dry for stereo."""
    block = "(local.get $late)" if shape.keeps_dry else "(local.get $at)"
    end = f"(i32.sub (i32.add {block} (local.get $bytes)) {_const(shape.stride)})"
    if shape.stride == 8:
        return f"(local.set $dry (i64.load $bus align=4 {end}))"
    return f"(memory.copy $bus $bus {_const(where.next_dry)} {end} {_const(shape.stride)})"


def _save_last(shape: StageShape, where: StageAddresses) -> str:
    """Keep the last frame, as it is and as it would be without the stage.

    Should the stage crash in the next block, the way back to the dry signal starts from their difference.
    """
    end = f"(i32.sub (i32.add (local.get $at) (local.get $bytes)) {_const(shape.stride)})"
    if shape.stride == 8:
        return f"""(i64.store $bus (i32.const {where.last}) (i64.load $bus align=4 {end}))
  (i64.store $bus (i32.const {where.last_dry}) (local.get $dry))"""
    return f"""(memory.copy $bus $bus {_const(where.last)} {end} {_const(shape.stride)})
  (memory.copy $bus $bus {_const(where.last_dry)} {_const(where.next_dry)} {_const(shape.stride)})"""


def _stage_functions(stage: int, shape: StageShape, where: StageAddresses) -> str:
    scans = "\n".join(_scan_function(_name(stage, instance)) for instance in range(shape.instances))
    done = _set(layout.DONE, _const(stage + 1))
    head = f"""(param $bus i32) (param $position i32) (param $n i32) (result i32)
  (local $at i32) (local $bytes i32) (local $offset i32) (local $late i32)
  (local $scratch i32) (local $got i32) (local $flags i32) (local $reset i64)
  (local $bad i32) (local $bad_value i32) (local $dry i64) (local $from i32) (local $to i32) (local $left i32)
  (local.set $offset (i32.mul (local.get $position) {_const(shape.stride)}))
  (local.set $at (i32.add (local.get $bus) (local.get $offset)))
  (local.set $bytes (i32.mul (local.get $n) {_const(shape.stride)}))
  {_dry_line(shape, where)}"""
    work = f"{_note_dry(shape, where)} {_through(stage, shape, where)} {_save_last(shape, where)}"
    through = f"""(func $through{stage} {head} {work} {done}
  (if (i64.ne (local.get $reset) (i64.const 0)) (then
    (i64.store $bus (i32.const {layout.RESETS}) (local.get $reset))
    {_fault(Fault.NEED_RESET, "(i32.const 0)")}))
  (i32.const 0))"""
    if not shape.keeps_dry:
        return f"{scans}\n{through}"
    round_ = f"""(func $round{stage} {head}
  (memory.copy $bus $bus (local.get $at) (local.get $late) (local.get $bytes)) {done} (i32.const 0))"""
    return f"{scans}\n{through}\n{round_}"


def _run_function(shapes: tuple[StageShape, ...], bus: BusLayout) -> str:
    count = len(shapes)
    labels = " ".join(f"$b{index}" for index in range(count + 1))
    body = f"(br_table {labels} (local.get $stage))"
    for index, (shape, where) in enumerate(zip(shapes, bus.stages, strict=True)):
        call = f"(call $through{index} {_const(bus.samples)} (local.get $position) (local.get $n))"
        otherwise = ""
        if shape.keeps_dry:
            otherwise = f"(else (drop (call $round{index} {_const(bus.samples)} (local.get $position) (local.get $n))))"
        body = f"""(block $b{index} {body})
    (br_if $block_done (i32.ge_u {_const(index)} (local.get $end)))
    (if (i32.eqz (i32.load $bus {_const(where.mode)})) (then {_set(layout.STAGE, _const(index))}
      (if {call} (then (return (i32.const 1))))) {otherwise})"""
    return f"""(func (export "run") (param $position i32) (param $stage i32) (param $first i32) (param $end i32)
  (param $block i32) (param $total i32) (param $stride i32) (result i32) (local $n i32)
  (loop $blocks
    (if (i32.ge_u (local.get $position) (local.get $total)) (then
      {_set(layout.BLOCK, _const(0))} (return (i32.const 0))))
    (local.set $n (i32.sub (local.get $total) (local.get $position)))
    (if (i32.gt_u (local.get $n) (local.get $block)) (then (local.set $n (local.get $block))))
    {_set(layout.POSITION, "(local.get $position)")} {_set(layout.BLOCK, "(local.get $n)")}
    {_set(layout.STAGE, _const(layout.NOBODY))} {_set(layout.DONE, "(local.get $stage)")}
    (if (i32.eq (local.get $stage) (local.get $first)) (then
      (if (call $scan_bus (i32.add {_const(bus.samples)} (i32.mul (local.get $position) (local.get $stride)))
          (i32.mul (local.get $n) (local.get $stride)))
        (then {_fault(Fault.INPUT, "(i32.const 0)")}))))
    (block $block_done (block $b{count} {body}))
    (local.set $stage (local.get $first))
    (local.set $position (i32.add (local.get $position) (local.get $n)))
    (br $blocks))
  (unreachable))"""
