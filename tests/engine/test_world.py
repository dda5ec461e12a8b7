"""The declared world against the real imports and exports."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import wasmtime
from wasmtime import component as wc

from stellatune_plugins.contract import wit_folder
from stellatune_plugins.engine.world import check_world, contract_package
from stellatune_plugins.errors import WasmInvalid, WorldMismatch

if TYPE_CHECKING:
    from makers import Tooled

WORLDS = ("decoder-plugin", "source-plugin", "lyrics-plugin", "output-sink-plugin", "dsp-plugin")
DSP = "stellatune:plugin/dsp-plugin@0.1.0"


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    """A copy of the contract's WIT that a test may change."""
    folder = tmp_path / "wit"
    shutil.copytree(str(wit_folder()), folder)
    return folder


def change(folder: Path, file: str, old: str, new: str) -> None:
    """Edit one WIT file; the text must be there."""
    path = folder / f"{file}.wit"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture(scope="module")
def quick_engine() -> wasmtime.Engine:
    """Compiles without optimising: nothing here is run."""
    config = wasmtime.Config()
    config.cranelift_opt_level = "none"
    return wasmtime.Engine(config)


def problems_of(component: Any, declared: str) -> list[str]:
    """The differences that the check reports; the message names the declared world."""
    try:
        check_world(component, declared)
    except WorldMismatch as error:
        problems: list[str] = error.details["problems"]
        return problems if declared in str(error) else []
    return []


@pytest.fixture
def problems(tooled: Tooled, contract: Path, quick_engine: wasmtime.Engine) -> Callable[..., list[str]]:
    """What the check has to say about a component built from the (changed) copy."""

    def check(built: str = "dsp-plugin", declared: str = DSP) -> list[str]:
        return problems_of(wc.Component(quick_engine, tooled(contract, built)), declared)

    return check


@pytest.mark.parametrize("built", WORLDS)
def test_a_component_fits_its_own_world_alone(
    tooled: Tooled, contract: Path, quick_engine: wasmtime.Engine, built: str
) -> None:
    """With all that it may import; for any other, what is missing and what is too much are both named."""
    component = wc.Component(quick_engine, tooled(contract, built))
    real = built.removesuffix("-plugin")
    for declared in WORLDS:
        found = problems_of(component, f"stellatune:plugin/{declared}@0.1.0")
        if built == declared:
            assert found == []
        else:
            assert f"does not export stellatune:plugin/{declared.removesuffix('-plugin')}@0.1.0" in found
            assert f"exports stellatune:plugin/{real}@0.1.0, which the world does not have" in found


@pytest.mark.parametrize("version", ["0.1.1", "0.1.42"])
def test_later_versions_of_the_same_minor_fit(problems: Callable[..., list[str]], contract: Path, version: str) -> None:
    """Declared, built, or both."""
    assert problems(declared=f"stellatune:plugin/dsp-plugin@{version}") == []
    for path in contract.glob("*.wit"):
        path.write_text(path.read_text().replace("plugin@0.1.0", f"plugin@{version}"))
    assert problems() == []


@pytest.mark.parametrize("version", ["0.2.0", "1.0.0", "0.0.1"])
def test_other_versions_do_not_fit(problems: Callable[..., list[str]], contract: Path, version: str) -> None:
    """Declared or built."""
    assert problems(declared=f"stellatune:plugin/dsp-plugin@{version}") == [
        "this host serves version 0.1.0 of the contract"
    ]
    for path in contract.glob("*.wit"):
        path.write_text(path.read_text().replace("plugin@0.1.0", f"plugin@{version}"))
    found = problems()
    assert f"exports stellatune:plugin/dsp@{version}, and this host serves stellatune:plugin@0.1.0" in found
    assert any(f"imports stellatune:plugin/sidecar@{version}" in problem for problem in found)


@pytest.mark.parametrize(
    "declared",
    [
        "",
        "dsp-plugin",
        "stellatune:plugin/dsp",
        "stellatune:plugin/magic-plugin@0.1.0",
        "other:plugin/dsp-plugin@0.1.0",
    ],
)
def test_unknown_worlds(problems: Callable[..., list[str]], declared: str) -> None:
    """The message lists those that there are."""
    (problem,) = problems(declared=declared)
    assert problem.startswith("there is no such world; the worlds are ")
    assert all(f"stellatune:plugin/{world}" in problem for world in WORLDS)


def test_a_world_without_a_version(problems: Callable[..., list[str]]) -> None:
    """Says nothing about which contract it means."""
    assert problems(declared="stellatune:plugin/dsp-plugin") == ["this host serves version 0.1.0 of the contract"]


CHANGES: list[tuple[str, str, str, str]] = [
    (
        "dsp",
        "supported-layouts: func() -> u32;",
        "",
        "export dsp: the function processor.supported-layouts is missing",
    ),
    (
        "dsp",
        "output-channels: func() -> u16;",
        "output-channels: func() -> u32;",
        "export dsp: the function processor.output-channels: result is u32 where the contract has u16",
    ),
    (
        "dsp",
        "process-interleaved-f32: func(channels: u16,",
        "process-interleaved-f32: func(channels: u8,",
        "export dsp: the function processor.process-interleaved-f32: channels is u8 where the contract has u16",
    ),
    (
        "dsp",
        "process-interleaved-f32: func(channels: u16, interleaved-f32le",
        "process-interleaved-f32: func(channels: u16, samples",
        "export dsp: the function processor.process-interleaved-f32: takes (self, channels, samples) where",
    ),
    (
        "dsp",
        "create: func(spec: audio-spec) -> result<processor, plugin-error>;",
        "create: func(spec: audio-spec) -> processor;",
        "export dsp: the function create: result is processor where the contract has result<processor, variant",
    ),
    (
        "dsp",
        "export-state-json: func() -> result<option<string>, plugin-error>;",
        "export-state-json: func() -> result<string, plugin-error>;",
        "export dsp: the function processor.export-state-json: result.ok is string where the contract has option<",
    ),
    (
        "dsp",
        "close: func();",
        "close: func(); reopen: func();",
        "export dsp: the function processor.reopen is not in the contract",
    ),
    (
        "dsp",
        "close: func();",
        "close: func() -> bool;",
        "export dsp: the function processor.close: has a result, and none in the contract",
    ),
    (
        "dsp",
        "output-channels: func() -> u16;",
        "output-channels: func();",
        "export dsp: the function processor.output-channels: has no result",
    ),
    (
        "lifecycle",
        "host-disable, unload, shutdown, reload",
        "unload, host-disable, shutdown, reload",
        "export lifecycle: the function on-disable: reason is enum {unload, host-disable, shutdown, reload} where",
    ),
    (
        "hot-path",
        "out-offset: option<u32>,",
        "out-offset: option<u64>,",
        "import hot-path: the type buffer-layout.out-offset?",
    ),
    (
        "hot-path",
        "in-offset: u32,",
        "",
        "import hot-path: the type buffer-layout has (out-offset, max-frames",
    ),
    (
        "common",
        "timeout(string),",
        "timeout(u32),",
        "import common: the type plugin-error.timeout is u32 where the contract has string",
    ),
    (
        "sidecar",
        "terminate: func(grace-ms: u32)",
        "terminate: func(grace-ms: u64)",
        "import sidecar: the function process.terminate: grace-ms is u64 where the contract has u32",
    ),
    (
        "sidecar",
        "transport: func() -> transport-kind;",
        "transport: func() -> transport-kind; flush: func();",
        "import sidecar: the function channel.flush is not in the contract",
    ),
    (
        "sidecar",
        "env: list<tuple<string, string>>,",
        "env: list<tuple<string, u32>>,",
        "import sidecar: the type launch-spec.env[][1] is u32 where the contract has string",
    ),
]


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"), CHANGES, ids=[f"{c[0]}-{i}" for i, c in enumerate(CHANGES)]
)
def test_every_difference_is_named(
    problems: Callable[..., list[str]], contract: Path, file: str, old: str, new: str, expected: str
) -> None:
    """With the path to it."""
    change(contract, file, old, new)
    found = problems()
    assert any(problem.startswith(expected) for problem in found), found


def test_all_differences_are_named_at_once(problems: Callable[..., list[str]], contract: Path) -> None:
    """So that an author corrects them in one go."""
    change(contract, "dsp", "supported-layouts: func() -> u32;", "")
    change(contract, "dsp", "output-channels: func() -> u16;", "output-channels: func() -> u32;")
    change(contract, "worlds", "world dsp-plugin {", "world dsp-plugin { import http-client;")
    found = problems()
    assert len(found) == 3
    assert "imports stellatune:plugin/http-client@0.1.0, which the world does not have" in found


def test_other_exports_are_nobodys_business(problems: Callable[..., list[str]], contract: Path) -> None:
    """They are never called."""
    change(contract, "worlds", "world dsp-plugin {", "world dsp-plugin { export extra: func() -> u32;")
    assert problems() == []


def test_a_later_version_may_offer_more(problems: Callable[..., list[str]], contract: Path) -> None:
    """But what it imports beyond the contract, this host cannot serve."""
    change(contract, "dsp", "close: func();", "close: func(); reopen: func();")
    for path in contract.glob("*.wit"):
        path.write_text(path.read_text().replace("plugin@0.1.0", "plugin@0.1.1"))
    assert problems() == []
    change(contract, "sidecar", "unlock: func();", "unlock: func(); relock: func();")
    assert problems() == ["import sidecar: the function lock-guard.relock is not in the contract"]


ODD_IMPORTS = [
    ('(import "wasi:cli/stdout@0.3.0" (instance))', "imports wasi:cli/stdout@0.3.0, which is not WASI 0.2"),
    ('(import "other:host/magic@1.0.0" (instance))', "imports other:host/magic@1.0.0, which the world does not have"),
    ('(import "naked" (func))', "imports naked at its root"),
]


@pytest.mark.parametrize(("text", "expected"), ODD_IMPORTS, ids=["wasi", "other", "root"])
def test_imports_of_other_kinds(compile_text: Callable[[str], Any], text: str, expected: str) -> None:
    """Only the world's own and WASI 0.2 are served."""
    component = compile_text(f"(component {text})")
    with pytest.raises(WorldMismatch) as caught:
        check_world(component, DSP)
    assert expected in caught.value.details["problems"]


def test_wasi_imports_are_welcome(compile_text: Callable[[str], Any]) -> None:
    """Standard libraries bring them along."""
    component = compile_text('(component (import "wasi:cli/stdout@0.2.6" (instance)))')
    with pytest.raises(WorldMismatch) as caught:
        check_world(component, DSP)
    assert not any("wasi" in problem for problem in caught.value.details["problems"])


def test_a_type_that_grows_without_end_is_refused(compile_text: Callable[[str], Any]) -> None:
    """Thirty nested pairs are a billion parts: told before they are unfolded."""
    lines = ["(type $t0 (tuple u8 u8))", *(f"(type $t{n} (tuple $t{n - 1} $t{n - 1}))" for n in range(1, 18))]
    component = compile_text(f'(component {" ".join(lines)} (import "x" (func (param "v" $t17))))')
    with pytest.raises(WasmInvalid, match="more than 100000 parts"):
        check_world(component, DSP)


def test_long_messages_are_cut(compile_text: Callable[[str], Any]) -> None:
    """A hostile component could have millions of differences."""
    imports = " ".join(f'(import "x{index}" (func))(import "o:p/q{index}@1.0.0" (instance))' for index in range(200))
    with pytest.raises(WorldMismatch) as caught:
        check_world(compile_text(f"(component {imports})"), DSP)
    assert len(caught.value.details["problems"]) == 41
    assert caught.value.details["problems"][-1].endswith("more")


def test_the_contract_has_its_worlds() -> None:
    """The table is read from the WIT files themselves."""
    package = contract_package()
    assert package.name == "stellatune:plugin@0.1.0"
    assert set(package.worlds) == set(WORLDS)
    assert package.allowed_imports("lyrics-plugin") == {"sidecar", "http-client", "common"}
    assert all(world.exports >= {"lifecycle"} for world in package.worlds.values())
