"""Guests written in WebAssembly text, and chains made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from stellatune_plugins.engine.assemble import compile_trusted
from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.engine.core import CoreModule
from stellatune_plugins.hotpath import HotStage, Mapping
from stellatune_plugins.hotpath.layout import stage_channels
from stellatune_plugins.model import Block, BufferLayout, CoreModuleSpec, Frames, HotPathRole, SampleFormat

PROCESS = "(param $ctx i32) (param $frames i32) (param $out i32) (param $flags i32) (result i32)"


def guest_text(process: str = "", *, init: str = "(i32.const 0)", extra: str = "", pages: str = "2") -> str:
    """A module that leaves its block as it is, plus whatever the parts do. In place at offset 0, up to 4096 frames.

    ``$n`` counts the calls of process from 1.
    """
    return f"""(module (memory (export "memory") {pages}) (global $n (mut i32) (i32.const 0))
      (func (export "init") (param $args i32) (param $out i32) (result i32) {init})
      (func (export "process") {PROCESS}
        (global.set $n (i32.add (global.get $n) (i32.const 1)))
        (i32.store (local.get $out) (local.get $frames)) {process} (i32.const 0))
      (func (export "reset") (param i32 i32) (result i32) (i32.const 0))
      (func (export "drop") (param i32)) {extra})"""


SCALE = """(local.set $p (i32.const 0)) (local.set $left (i32.mul (local.get $frames) (i32.const {channels})))
  (block $end (loop $next (br_if $end (i32.eqz (local.get $left)))
    (f32.store (local.get $p) (f32.mul (f32.load (local.get $p)) (f32.const {factor})))
    (local.set $p (i32.add (local.get $p) (i32.const 4)))
    (local.set $left (i32.sub (local.get $left) (i32.const 1))) (br $next)))"""


@dataclass(frozen=True)
class Guests:
    """Makes stages."""

    engine: WasmEngine

    def module(self, text: str) -> CoreModule:
        """Compile a guest."""
        return compile_trusted(self.engine, text)

    def spec(self, channels: int = 2, **changes: object) -> CoreModuleSpec:
        """The description that fits :func:`guest_text`, with some fields changed."""
        buffer: dict[str, object] = {
            "in_offset": 0,
            "out_offset": None,
            "max_frames": 4096,
            "channels": channels,
            "sample_format": SampleFormat.F32LE,
            "interleaved": True,
        }
        fields: dict[str, object] = {
            "role": HotPathRole.DSP_TRANSFORM,
            "wasm_rel_path": "wasm/x.wasm",
            "abi_version": 1,
            "memory_export": "memory",
            "init_export": "init",
            "process_export": "process",
            "reset_export": "reset",
            "drop_export": "drop",
        }
        for name, value in changes.items():
            (buffer if name in buffer else fields)[name] = value
        return CoreModuleSpec(buffer=BufferLayout(**buffer), **fields)  # type: ignore[arg-type]

    def stage(
        self,
        text: str,
        *,
        channels: int = 2,
        mapping: Mapping = Mapping.DIRECT,
        max_frames: int = 4096,
        config: str = "{}",
        name: str = "test.guest",
    ) -> HotStage:
        """A stage of one guest."""
        spec = self.spec(stage_channels(mapping, channels), max_frames=Frames(max_frames))
        return HotStage(name, "guest", "main", self.module(text), spec, channels, config, mapping)

    def plain(self, process: str = "", *, init: str = "(i32.const 0)", extra: str = "", **options: object) -> HotStage:
        """A stage from parts of :func:`guest_text`."""
        return self.stage(guest_text(process, init=init, extra=extra), **options)  # type: ignore[arg-type]

    def scale(self, factor: float, *, channels: int = 2, width: int | None = None, **options: object) -> HotStage:
        """A stage that multiplies every sample of its ``width`` channels."""
        body = SCALE.format(channels=channels if width is None else width, factor=factor)
        text = guest_text(body).replace(PROCESS, PROCESS + " (local $p i32) (local $left i32)")
        return self.stage(text, channels=channels, **options)  # type: ignore[arg-type]

    def delay(self, frames: int, *, factor: float = 1.0, crash_at: int = 0) -> HotStage:
        """A stereo stage that is late by up to 1024 frames and says so; it may trap in its n-th call."""
        body = f"""(if (i32.eq (global.get $n) (i32.const {crash_at or -1})) (then (unreachable)))
          (local.set $k (i32.const 0))
          (block $end (loop $next (br_if $end (i32.ge_u (local.get $k) (local.get $frames)))
            (local.set $p (i32.mul (local.get $k) (i32.const 8)))
            (local.set $q (i32.add (i32.const 65536) (i32.mul (global.get $w) (i32.const 8))))
            (local.set $old (i64.load (local.get $q)))
            (i64.store (local.get $q) (i64.load (local.get $p)))
            (i64.store (local.get $p) (local.get $old))
            (f32.store (local.get $p) (f32.mul (f32.load (local.get $p)) (f32.const {factor})))
            (f32.store offset=4 (local.get $p) (f32.mul (f32.load offset=4 (local.get $p)) (f32.const {factor})))
            (global.set $w (i32.rem_u (i32.add (global.get $w) (i32.const 1)) (i32.const {frames})))
            (local.set $k (i32.add (local.get $k) (i32.const 1))) (br $next)))"""
        extra = f"""(global $w (mut i32) (i32.const 0))
          (func (export "st_hot_latency") (param i32) (result i32) (i32.const {frames}))
          (func (export "st_hot_tail") (param i32) (result i32) (i32.const {frames}))"""
        text = guest_text(body, extra=extra).replace(
            PROCESS, PROCESS + " (local $p i32) (local $q i32) (local $k i32) (local $old i64)"
        )
        return self.stage(text)


@pytest.fixture(scope="module")
def engine() -> Iterator[WasmEngine]:
    """One engine a module."""
    with WasmEngine() as engine:
        yield engine


@pytest.fixture
def guests(engine: WasmEngine) -> Guests:
    """Makes stages."""
    return Guests(engine)


@pytest.fixture
def noise() -> Callable[..., Block]:
    """Makes blocks of quiet noise that is never zero."""

    def make(frames: int, channels: int = 2, seed: int = 1) -> Block:
        rng = np.random.default_rng(seed)
        signs = rng.choice([-1.0, 1.0], (frames, channels))
        return np.asarray(rng.uniform(0.01, 0.1, (frames, channels)) * signs, np.float32)

    return make
