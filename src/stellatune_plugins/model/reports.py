"""What a session says about its work: plain data, so that it prints as JSON."""

from __future__ import annotations

import enum

import msgspec

from stellatune_plugins.model.ids import Frames, RuntimeKind


class StagePath(enum.StrEnum):
    """The road that a stage's samples take."""

    HOT = "hot"
    """A core module in the fused chain."""
    COMPONENT = "component"
    """Calls of the component, block by block."""
    NATIVE = "native"
    """A native processor."""


class Bypass(msgspec.Struct, frozen=True):
    """When and why a stage was taken out of the chain; ``until_frame`` where a fresh instance came back."""

    at_frame: int
    code: str
    reason: str
    until_frame: int | None = None


class StageReport(msgspec.Struct, frozen=True, kw_only=True):
    """One stage's work in one session."""

    index: int
    plugin: str
    type_id: str
    runtime: RuntimeKind
    path: StagePath
    seconds: float
    """Time spent in the stage; extrapolated from the batches that were timed where the stage is fused."""
    frames: int
    latency: Frames
    tail: Frames | None
    mapping: str
    """How the chain's channels reach the stage: ``direct``, ``front-pair``, ``per-channel``, ``mono-as-stereo``."""
    silenced_blocks: int = 0
    bypasses: tuple[Bypass, ...] = ()
    fallback: str | None = None
    """Why the component path is used although the plugin has a hot path."""
