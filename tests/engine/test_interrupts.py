"""Ctrl-C while a guest runs: noted, delivered, never a crash."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import os, signal, sys, threading, time
sys.path.insert(0, GUESTS)
from echo_guests import echo_component
from wasmtime import component as wc
from stellatune_plugins.engine import ComponentInstance, GuestStore, HostImports, WasmEngine
from stellatune_plugins.engine.assemble import assemble

TEXT = '''(component
  (import "x" (func $x (param "n" u32) (result u32)))
  (core func $low (canon lower (func $x)))
  (core module $m (import "" "x" (func $x (param i32) (result i32)))
    (func (export "go") (param i32) (result i32) (local $sum i32)
      (loop $l
        (local.set $sum (i32.add (local.get $sum) (call $x (local.get 0))))
        (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
        (br_if $l (local.get 0)))
      (local.get $sum)))
  (core instance $i (instantiate $m (with "" (instance (export "x" (func $low))))))
  (func (export "go") (param "n" u32) (result u32) (canon lift (core func $i "go"))))'''

stray = []
sys.unraisablehook = lambda info: stray.append(info)
imports = HostImports()
imports.add("", "x", lambda n: 1)
interrupted = completed = 0
stop = threading.Event()
pause = 0.0004

def press():
    while not stop.wait(pause):
        os.kill(os.getpid(), signal.SIGINT)

with WasmEngine() as engine:
    component = wc.Component(engine.raw, assemble(TEXT))
    presser = threading.Thread(target=press)
    end = time.monotonic() + 1.5
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    presser.start()
    while time.monotonic() < end:
        with GuestStore(engine) as store:
            instance = ComponentInstance(store, component, imports, label="x", deadline=20.0)
            go = instance.function("", "go")
            try:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                try:
                    result = go(300)
                    signal.signal(signal.SIGINT, signal.SIG_IGN)
                    assert result == 300
                    completed += 1
                finally:
                    signal.signal(signal.SIGINT, signal.SIG_IGN)
            except KeyboardInterrupt:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                interrupted += 1
            instance.close()
    stop.set()
    presser.join()
print(interrupted, completed, len(stray), stray[:1])
"""


def test_interrupts_never_reach_the_callback() -> None:
    """Thousands of them at every point of a call: each ends it by KeyboardInterrupt, and none is lost in ctypes."""
    guests = Path(__file__).resolve().parent.parent / "guests"
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", f"GUESTS = {str(guests)!r}\n{SCRIPT}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    interrupted, _completed, stray, *rest = done.stdout.split(maxsplit=3)
    assert int(interrupted) > 50, done.stdout
    assert int(stray) == 0, rest
