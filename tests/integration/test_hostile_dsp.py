"""Hostile DSP plugins, installed and rendered through: the right failure code, the others go on, the file is complete.

The chain is gain, the hostile plugin, gain: real packages, a real file in and out. The two gains multiply to exactly 1,
so wherever the hostile plugin is out of the way the output equals the input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stellatune_plugins.errors import NotWasm, StellatuneError
from stellatune_plugins.model import Block, StagePath
from stellatune_plugins.session.chain_builder import StageRequest

# 2 ** -1 and 2 ** 1 in decibels, which the gain turns into factors that multiply to 1.
HALF, DOUBLE = '{"gain_db": -6.020599913279624}', '{"gain_db": 6.020599913279624}'
CHAIN = (
    StageRequest("dev.stellatune.gain", None, HALF),
    StageRequest("test.actor"),
    StageRequest("dev.stellatune.gain", None, DOUBLE),
)
TOLERANCE = 1e-6


def complete(rendered: Any, music: Block) -> None:
    """Every frame is there, the two gains worked, and no half file lies about."""
    assert len(rendered.samples) == len(music)
    assert rendered.report.frames_out == len(music)
    for gain in (0, 2):
        assert not rendered.codes(gain)
        assert rendered.report.stages[gain].frames == len(music)
    assert [path.name for path in rendered.folder.iterdir()] == ["out.wav"]


AT_START = {
    "start:trap": "guest-trap",
    "start:loop": "call-deadline",
    "start:grow": "guest-trap",
    "on-enable:trap": "hook-failed",
    "on-enable:loop": "hook-failed",
    "on-enable:grow": "hook-failed",
    "on-enable:error": "hook-failed",
    "create:trap": "guest-trap",
    "create:loop": "call-deadline",
    "create:grow": "guest-trap",
    "create:error": "plugin-error",
    "describe:trap": "guest-trap",
    "describe:loop": "call-deadline",
    "describe:grow": "guest-trap",
    "plan:trap": "guest-trap",
    "plan:loop": "call-deadline",
    "plan:grow": "guest-trap",
    "plan:wild": "guest-contract",
    "apply:trap": "guest-trap",
    "apply:loop": "call-deadline",
    "apply:grow": "guest-trap",
    "layouts:trap": "guest-trap",
    "layouts:loop": "call-deadline",
    "layouts:zero": "guest-contract",
    "channels:trap": "guest-trap",
    "channels:zero": "guest-contract",
    "channels:many": "guest-contract",
}


@pytest.mark.parametrize("part", AT_START)
def test_a_plugin_that_fails_to_start_is_left_out(
    workshop: Any, actor: Callable[[str], bytes], music: Block, part: str
) -> None:
    """The music goes round it from the first frame on."""
    workshop.install(workshop.package(actor(part)))
    rendered = workshop.render(CHAIN, music)
    complete(rendered, music)
    assert rendered.codes(1) == [AT_START[part]]
    assert rendered.report.stages[1].bypasses[0].at_frame == 0
    assert np.abs(rendered.samples - music).max() < TOLERANCE
    assert len(rendered.named("stage.bypassed")) == 1


@pytest.mark.parametrize("part", ["create:trap", "on-enable:loop", "describe:grow"])
def test_a_strict_render_fails_instead(workshop: Any, actor: Callable[[str], bytes], music: Block, part: str) -> None:
    """The error names the plugin, and there is no file."""
    workshop.install(workshop.package(actor(part)))
    with pytest.raises(StellatuneError) as caught:
        workshop.render(CHAIN, music, strict=True)
    assert caught.value.code == AT_START[part]
    assert caught.value.plugin == "test.actor"
    assert caught.value.operation
    assert not list((workshop.folder / "out").iterdir())


WHILE_PROCESSING = {
    "process:trap": "guest-trap",
    "process:loop": "call-deadline",
    "process:grow": "guest-trap",
    "process:error": "plugin-error",
    "process:short": "guest-contract",
    "process:long": "guest-contract",
    "process:odd": "guest-contract",
    "process:empty": "guest-contract",
    "process:wild": "guest-contract",
}


@pytest.mark.parametrize("part", WHILE_PROCESSING)
def test_a_component_that_fails_in_process_is_bypassed(
    workshop: Any, actor: Callable[[str], bytes], music: Block, part: str
) -> None:
    """Block by block nothing of the music is missing."""
    workshop.install(workshop.package(actor(part)))
    rendered = workshop.render(CHAIN, music)
    complete(rendered, music)
    assert set(rendered.codes(1)) == {WHILE_PROCESSING[part]}
    assert np.isfinite(rendered.samples).all()
    assert np.abs(rendered.samples[-1000:] - music[-1000:]).max() < TOLERANCE


@pytest.mark.parametrize("hook", ["drop", "close", "on-disable"])
@pytest.mark.parametrize("deed", ["trap", "loop", "grow"])
def test_a_plugin_that_fails_at_the_end_is_forced_out(
    workshop: Any, actor: Callable[[str], bytes], music: Block, hook: str, deed: str
) -> None:
    """The file is whole before the plugin gets its chance."""
    workshop.install(workshop.package(actor(f"{hook}:{deed}")))
    rendered = workshop.render(CHAIN, music)
    complete(rendered, music)
    assert np.abs(rendered.samples - music).max() < TOLERANCE
    if hook == "on-disable":
        (event,) = rendered.named("plugin.failed")
        assert (event.plugin, event.code, event.operation) == ("test.actor", "hook-failed", "lifecycle.on-disable")


# --- the hot path --------------------------------------------------------------------------------------------------

INIT = "(param i32 i32) (result i32)"
PROCESS = "(param $ctx i32) (param $n i32) (param $out i32) (param $flags i32) (result i32)"
COPY = """(memory.copy (i32.const 8192) (i32.const 16) (i32.mul (local.get $n) (i32.const 8)))
  (i32.store (local.get $out) (local.get $n))"""
GROW = "(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)"
DEEDS = {"trap": "(unreachable)", "loop": "(loop (br 0))", "grow": GROW}


def hot(
    *, init: str = "", process: str = COPY, reset: str = "", config: str | None = None, extra: str = "", pages: int = 4
) -> str:
    """A core module that fits the actor's description: input at 16, output at 8192, 512 frames."""
    taken = (
        ""
        if config is None
        else f'(func (export "st_hot_config") (param i32 i32 i32) (result i32) {config} (i32.const 0))'
    )
    return f"""(module (memory (export "memory") {pages}) (global $n (mut i32) (i32.const 0))
      (func (export "init") {INIT} {init} (i32.const 0))
      (func (export "process") {PROCESS}
        (global.set $n (i32.add (global.get $n) (i32.const 1))) {process} (i32.const 0))
      (func (export "reset") {INIT} {reset} (i32.const 0)) {taken} {extra})"""


RESET = "(i32.store (local.get $flags) (i32.const 4))"
NOW = '(module (import "env" "now" (func (result i64)))'
WIDE_RESET = '(func (export "reset") (param i64) (result i32)'
LATENCY = '(func (export "st_hot_latency") (param i32) (result i32) (i32.const -5))'
NAN = "(f32.store offset=8192 (i32.const 0) (f32.const nan))"


def third(deed: str) -> str:
    """Copy every block, and do something in the third."""
    return f"{COPY} (if (i32.eq (global.get $n) (i32.const 3)) (then {deed}))"


def claim(where: str, value: int) -> str:
    """Report a number that is not true."""
    return f"(i32.store (local.get ${where}) (i32.const {value}))"


REFUSED: dict[str, tuple[str | bytes, str]] = {
    "init traps": (hot(init=DEEDS["trap"]), "guest-trap"),
    "init hangs": (hot(init=DEEDS["loop"]), "call-deadline"),
    "init eats memory": (hot(init=DEEDS["grow"]), "guest-trap"),
    "init refuses": (hot(init="(return (i32.const 2))"), "stage-failed"),
    "config traps": (hot(config=DEEDS["trap"]), "guest-trap"),
    "config hangs": (hot(config=DEEDS["loop"]), "call-deadline"),
    "config eats memory": (hot(config=DEEDS["grow"]), "guest-trap"),
    "config refuses": (hot(config="(return (i32.const 1))"), "config-rejected"),
    "start traps": (hot(extra="(func $s (unreachable)) (start $s)"), "guest-trap"),
    "start hangs": (hot(extra="(func $s (loop (br 0))) (start $s)"), "call-deadline"),
    "memory too small": (hot(pages=0), "hot-path-rejected"),
    "memory too large": (hot(pages=4000), "instantiate-failed"),
    "no process": (hot().replace('"process"', '"proceed"'), "hot-path-rejected"),
    "no memory": (hot().replace('"memory"', '"mem"'), "hot-path-rejected"),
    "no reset": (hot().replace('"reset"', '"again"'), "hot-path-rejected"),
    "wrong signature": (hot().replace(f'(func (export "reset") {INIT}', WIDE_RESET), "hot-path-rejected"),
    "imports a clock": (hot().replace("(module", NOW), "hot-path-rejected"),
    "latency beyond reason": (hot(extra=LATENCY), "guest-contract"),
    "cut in half": (b"\0asm\1\0\0\0\1\x7f", "wasm-invalid"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_a_bad_core_module_gives_way_to_the_component(
    workshop: Any, actor: Callable[[str], bytes], wat: Callable[[str], bytes], music: Block, what: str
) -> None:
    """The report says why, and the plugin still works, by the slower road."""
    given, code = REFUSED[what]
    data = wat(given) if isinstance(given, str) else given
    workshop.install(workshop.package(actor("describe:some"), {"actor.hot.wasm": data}))
    rendered = workshop.render(CHAIN, music)
    complete(rendered, music)
    stage = rendered.report.stages[1]
    assert stage.path is StagePath.COMPONENT
    assert stage.fallback.split(":")[0] == code
    assert not rendered.codes(1)
    assert np.abs(rendered.samples - music).max() < TOLERANCE


@pytest.mark.parametrize(
    "data", [hot().encode(), b"MZ" + bytes(1000), b"", b"\0asm"], ids=["text", "an executable", "empty", "cut"]
)
def test_what_is_no_wasm_is_not_even_installed(workshop: Any, actor: Callable[[str], bytes], data: bytes) -> None:
    """Text that an engine would gladly assemble is refused like any other file."""
    with pytest.raises(NotWasm):
        workshop.install(workshop.package(actor(""), {"actor.hot.wasm": data}))


def test_a_component_as_core_module_is_refused(workshop: Any, actor: Callable[[str], bytes], music: Block) -> None:
    """It is wasm, and of the wrong kind."""
    component = actor("describe:some")
    workshop.install(workshop.package(component, {"actor.hot.wasm": component}))
    rendered = workshop.render(CHAIN, music)
    complete(rendered, music)
    assert rendered.report.stages[1].fallback.startswith("not-wasm")


def test_a_path_out_of_the_package_is_not_followed(workshop: Any, actor: Callable[[str], bytes], music: Block) -> None:
    """`../../etc/passwd` is not a file of the package."""
    workshop.install(workshop.package(actor("describe:escape")))
    rendered = workshop.render(CHAIN, music)
    complete(rendered, music)
    assert rendered.report.stages[1].path is StagePath.COMPONENT
    assert "passwd" in rendered.report.stages[1].fallback


CRASHING = {
    "process traps": (hot(process=third(DEEDS["trap"])), "guest-trap"),
    "process hangs": (hot(process=third(DEEDS["loop"])), "call-deadline"),
    "process eats memory": (hot(process=third(DEEDS["grow"])), "guest-trap"),
    "process grows a page": (hot(process=third("(drop (memory.grow (i32.const 1)))")), "guest-contract"),
    "process claims less": (hot(process=third(claim("out", 1))), "guest-contract"),
    "process claims more": (hot(process=third(claim("out", -1))), "guest-contract"),
    "process invents flags": (hot(process=third(claim("flags", -1))), "guest-contract"),
    "process answers errors": (hot(process=COPY + "(return (i32.const 4))"), "stage-failed"),
    "process gives NaN": (hot(process=COPY + NAN), "guest-contract"),
    "reset traps": (hot(process=third(RESET), reset=DEEDS["trap"]), "guest-trap"),
    "reset hangs": (hot(process=third(RESET), reset=DEEDS["loop"]), "call-deadline"),
    "reset eats memory": (hot(process=third(RESET), reset=DEEDS["grow"]), "guest-trap"),
}  # fmt: skip


@pytest.mark.parametrize("what", CRASHING)
def test_a_core_module_that_crashes_is_bypassed(
    workshop: Any, actor: Callable[[str], bytes], wat: Callable[[str], bytes], music: Block, what: str
) -> None:
    """Every frame is there; in the end the stage is either back or out, and the music exact."""
    text, code = CRASHING[what]
    workshop.install(workshop.package(actor("describe:some"), {"actor.hot.wasm": wat(text)}))
    rendered = workshop.render(CHAIN, music)
    complete(rendered, music)
    assert rendered.report.stages[1].path is StagePath.HOT
    assert set(rendered.codes(1)) == {code}
    assert np.isfinite(rendered.samples).all()
    assert np.abs(rendered.samples[-1000:] - music[-1000:]).max() < TOLERANCE


def test_a_lying_core_module_cannot_read_its_neighbours(
    workshop: Any, actor: Callable[[str], bytes], wat: Callable[[str], bytes], music: Block
) -> None:
    """A load far outside its own memory traps; the stages beside it lie in memories of their own."""
    module = hot(process=COPY + "(drop (i32.load (i32.const 0x7ffffff0)))")
    workshop.install(workshop.package(actor("describe:some"), {"actor.hot.wasm": wat(module)}))
    rendered = workshop.render(CHAIN, music)
    complete(rendered, music)
    assert set(rendered.codes(1)) == {"guest-trap"}


def leb(value: int) -> bytes:
    """An unsigned number as WebAssembly writes it."""
    out = b""
    while value >= 0x80:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def bomb() -> bytes:
    """One function with a branch every few bytes: the compiler's time grows with the square of its size."""
    unit = bytes.fromhex("0240 2000 0d00 2000 4103 6c 2100 0b")  # block, br_if out of it, x = x * 3, end
    body = b"\0" + unit * 130_000 + bytes.fromhex("20000b")
    code = b"\1" + leb(len(body)) + body
    types, functions = bytes.fromhex("0106 01 60 01 7f 01 7f"), bytes.fromhex("0302 01 00")
    return b"\0asm\1\0\0\0" + types + functions + b"\x0a" + leb(len(code)) + code


def test_a_bomb_for_the_compiler_is_stopped(workshop: Any, actor: Callable[[str], bytes], music: Block) -> None:
    """Code that takes minutes to compile ends at the limit; the component serves instead."""
    workshop.install(workshop.package(actor("describe:some"), {"actor.hot.wasm": bomb()}))
    rendered = workshop.render(CHAIN, music, compile_seconds=1)
    complete(rendered, music)
    assert rendered.report.stages[1].fallback.startswith("compile-limit")
