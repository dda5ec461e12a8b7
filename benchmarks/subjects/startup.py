"""Start-up: the command, a first render with and without compiled code, and each plugin's code."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import wasmtime
from wasmtime import component as wc

from benchmarks.command import STELLATUNE, environment, fresh_home, render
from benchmarks.race import Process, of_processes, race, race_processes, run_process
from benchmarks.results import Row
from benchmarks.workshop import BUNDLED, CHANNELS, OUT, PLUGINS, RATE, Workshop
from stellatune_plugins.engine.cache import CodeStore
from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.hotpath import FusedChain

NAME = "startup"
TITLE = "Start-up"


def measure(shop: Workshop) -> Iterator[Row]:
    """Processes first, then parts."""
    yield from _processes(shop)
    yield from _code(shop)


def _processes(shop: Workshop) -> Iterator[Row]:
    home, short = fresh_home("startup-home"), OUT / "second.flac"
    soundfile.write(short, shop.noise(RATE), RATE)
    variables = environment()
    rendering = render(short, OUT / "second-out.flac", home)
    run_process(rendering, variables)

    def cold() -> Process:
        shutil.rmtree(home / "cache", ignore_errors=True)
        return run_process(rendering, variables)

    taken = race_processes(
        {
            "python -c pass": lambda: run_process([sys.executable, "-c", "pass"], variables),
            "--version": lambda: run_process([str(STELLATUNE), "--version"], variables),
            "render 1 s, nothing compiled": cold,
            "render 1 s, compiled code cached": lambda: run_process(rendering, variables),
            # Each cold run leaves a warm cache, so the warm one's place in the round does not matter.
        },
        2 if shop.quick else 9,
    )
    wall, rss = of_processes(taken, "wall"), of_processes(taken, "rss")
    yield wall.row(NAME, "stellatune --version", "--version", "python -c pass")
    yield wall.row(NAME, "first render", "render 1 s, nothing compiled", "render 1 s, compiled code cached")
    yield wall.row(NAME, "warm render", "render 1 s, compiled code cached", "python -c pass")
    yield rss.row(NAME, "memory of a short render", "render 1 s, compiled code cached", "python -c pass", unit="B")


def _code(shop: Workshop) -> Iterator[Row]:
    """Compiling in a child process, and loading from the cache, against wasmtime compiling in this process."""
    for plugin in ["parametric-eq"] if shop.quick else PLUGINS:
        package = BUNDLED / f"dev.stellatune.{plugin}" / "wasm"
        component, module = (package / f"{plugin}{end}" for end in (".wasm", ".hot.wasm"))
        codes = component.read_bytes(), module.read_bytes()
        with tempfile.TemporaryDirectory(dir=OUT) as folder:

            def load(cache: Path, codes: tuple[bytes, bytes] = codes) -> None:
                with WasmEngine() as engine:
                    store = CodeStore(engine, cache)
                    store.load_component(codes[0], path="component.wasm")
                    store.load_module(codes[1], path="hot.wasm")

            def compile_fresh(folder: str = folder) -> None:
                with tempfile.TemporaryDirectory(dir=folder) as fresh:
                    load(Path(fresh))

            def stock(codes: tuple[bytes, bytes] = codes) -> None:
                engine = wasmtime.Engine()
                wc.Component(engine, codes[0])
                wasmtime.Module(engine, codes[1])

            cached = Path(folder, "cached")
            load(cached)
            result = race(
                {
                    "compiled in a child": compile_fresh,
                    "from the cache": lambda cached=cached: load(cached),  # type: ignore[misc]
                    "wasmtime in this process": stock,
                },
                shop.seconds(2.0),
                least_rounds=3,
            )
        yield result.row(NAME, f"{plugin}'s code", "compiled in a child", "wasmtime in this process")
        yield result.row(NAME, f"{plugin}'s code", "from the cache", "wasmtime in this process")
    yield _preparing(shop)


def _preparing(shop: Workshop) -> Row:
    stages = [shop.stage("parametric-eq"), shop.stage("limiter")]
    silence = np.zeros((64, CHANNELS), np.float32)

    def prepare() -> None:
        with FusedChain(shop.engine, stages, sample_rate=RATE) as chain:
            chain.process(silence)

    twins = ["parametric-eq", "limiter"]

    def natively() -> None:
        for name in twins:
            shop.twin(name)

    result = race({"a chain": prepare, "two native twins": natively}, shop.seconds(1.0))
    return result.row(NAME, "preparing a chain of two, code at hand", "a chain", "two native twins")
