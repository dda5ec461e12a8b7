"""A chain of gain stages, fused: against one host call a stage, and against native code called stage by stage.

Both baselines get every advantage: prepared calls and addresses, no checks of what comes back, and for native code no
copies. The overhead of a fused stage is the slope between chains of 1 and of 16 stages that do nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.race import Call, race
from benchmarks.results import Row
from benchmarks.workshop import Twin, Workshop, paged, pointer
from stellatune_plugins.model import Block

NAME = "chain"
TITLE = "Chains of stages"
FUSED, BATCH, STEPS, NATIVE = "fused", "fused, up to 16 blocks a call", "stage by stage", "native twins by ctypes"
LENGTHS = (1, 4, 8, 16)
FRAMES = (64, 256, 1024, 4096)
_BATCH = 16
_MOST_BATCH = 16384  # HotPathSettings.batch_frames


def measure(shop: Workshop) -> Iterator[Row]:
    """Every length at every block size, then the overhead."""
    for length in LENGTHS:
        for frames in FRAMES[::3] if shop.quick else FRAMES:
            batch = min(_BATCH, _MOST_BATCH // frames)
            result = race(
                _contestants(shop, length, frames, batch), shop.seconds(0.9), least_rounds=40, per={BATCH: batch}
            )
            case = f"{length} {'stage' if length == 1 else 'stages'}, {frames} frames"
            yield result.row(NAME, case, FUSED, STEPS)
            yield result.row(NAME, case, FUSED, NATIVE)
            yield result.row(NAME, case, BATCH, NATIVE)
    yield from _overhead(shop)


def _contestants(shop: Workshop, length: int, frames: int, batch: int) -> dict[str, Call]:
    stages = [shop.stage("gain") for _ in range(length)]
    block, blocks = shop.noise(frames), shop.noise(frames * batch)
    fused = shop.chain(stages, block=frames)
    return {
        FUSED: lambda: fused.process(block),
        BATCH: lambda: fused.process(blocks),
        STEPS: _stage_by_stage(shop, length, block),
        NATIVE: _natively([shop.twin("gain") for _ in range(length)], block),
    }


def _stage_by_stage(shop: Workshop, length: int, block: Block) -> Call:
    instances = shop.instances([shop.stage("gain") for _ in range(length)])
    ticks = shop.engine.ticks(1.0)
    steps = []
    for instance in instances:
        call = instance.process_call()
        call.args[2] = len(block)
        inside = instance.memory.array("<f4", instance.regions.input, block.size).reshape(block.shape)
        outside = instance.memory.array("<f4", instance.regions.output, block.size).reshape(block.shape)
        steps.append((call, inside, outside))

    def run() -> Block:
        samples = block
        for call, inside, outside in steps:
            inside[...] = samples
            call.args[0] = instances[0].context
            call(ticks)
            samples = outside
        return samples.copy()

    return run


def _natively(twins: list[Twin], block: Block) -> Call:
    sound, result = paged(block), paged(block)
    source, target, frames = pointer(sound), pointer(result), len(sound)
    first, *rest = [(twin.process, twin.handle) for twin in twins]

    def run(_alive: Block = sound) -> Block:  # an address keeps nothing alive
        process, handle = first
        process(handle, source, target, frames)
        for process, handle in rest:
            process(handle, target, target, frames)
        return result

    return run


def _overhead(shop: Workshop) -> Iterator[Row]:
    frames = 64
    block, blocks = shop.noise(frames), shop.noise(frames * _BATCH)
    long, short = (shop.chain([shop.nothing()] * n, block=frames) for n in (16, 1))
    step_long, step_short = (_stage_by_stage(shop, n, block) for n in (16, 1))
    result = race(
        {
            "16": lambda: long.process(block),
            "1": lambda: short.process(block),
            "16 batched": lambda: long.process(blocks),
            "1 batched": lambda: short.process(blocks),
            "16 steps": step_long,
            "1 step": step_short,
        },
        shop.seconds(6.0),
        least_rounds=60,
        per={"16 batched": _BATCH, "1 batched": _BATCH},
    )
    result.derive("one fused stage more", (result.rounds["16"] - result.rounds["1"]) / 15)
    result.derive(
        "one fused stage more, 16 blocks a call", (result.rounds["16 batched"] - result.rounds["1 batched"]) / 15
    )
    result.derive("one host call more", (result.rounds["16 steps"] - result.rounds["1 step"]) / 15)
    for ours in ("one fused stage more", "one fused stage more, 16 blocks a call"):
        yield result.row(
            NAME,
            "overhead of a stage, 64 frames",
            ours,
            "one host call more",
            most_seconds=100e-9,
            note="slope between 1 and 16 stages; the host call's stage is a gain, the fused ones do nothing",
        )
