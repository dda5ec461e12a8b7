"""Every limit and time of the hot path, in one table."""

from __future__ import annotations

import msgspec


class HotPathSettings(msgspec.Struct, frozen=True):
    """Times are seconds of wall clock unless they say frames or ``_ms`` of audio."""

    instantiate_deadline: float = 1.0
    init_deadline: float = 1.0
    config_deadline: float = 0.5
    query_deadline: float = 0.1
    reset_deadline: float = 0.1
    drop_deadline: float = 0.1
    process_deadline: float = 0.5
    """For one host call, which may carry many blocks."""

    block_frames: int = 1024
    """The largest block given to a stage; a stage's own ``max_frames`` may cut it further."""
    batch_frames: int = 16384
    """The most frames in one host call."""

    fade_ms: float = 5.0
    """How long bypassing, re-entering and the end of a crashed stage take to fade."""
    strikes: int = 3
    """Bad blocks in a row (errors, NaN) after which a stage that still lives is bypassed."""
    replacement_pauses: tuple[float, ...] = (0.0, 1.0, 10.0)
    """Seconds of audio before each fresh instance of a crashed stage; when they are used up it stays bypassed."""

    max_memory_bytes: int = 256 * 1024 * 1024
    """The most that each stage's memory may grow to."""
    max_bus_bytes: int = 128 * 1024 * 1024
    """The most that the bus may take; latencies in many channels add up."""
    max_instances: int = 2000
    """The most instances in a chain's Store, replaced ones included: they are freed with the Store alone."""
    max_block_frames: int = 1 << 16
    max_latency_seconds: float = 10.0
    max_tail_seconds: float = 600.0
    max_config_bytes: int = 1 << 20

    time_every: int = 254
    """After so many batches two are timed, one of them stage by stage: too few for a p99 to see them."""
