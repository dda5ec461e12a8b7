"""WASI preview 2: there, and empty-handed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from stellatune_plugins.engine import ComponentInstance, GuestStore, HostImports, WasmEngine
from stellatune_plugins.engine.wasi import OutputTap, is_provided
from stellatune_plugins.errors import GuestContract, InstantiateFailed

if TYPE_CHECKING:
    from makers import Tooled

WIT = """package test:probe@0.1.0;
package wasi:io@0.2.0 {
  interface error { resource error { to-debug-string: func() -> string; } }
  interface streams {
    use error.{error};
    variant stream-error { last-operation-failed(error), closed }
    resource output-stream { blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>; }
  }
}
package wasi:filesystem@0.2.0 {
  interface types { resource descriptor; }
  interface preopens { use types.{descriptor}; get-directories: func() -> list<tuple<descriptor, string>>; }
}
package wasi:cli@0.2.0 {
  interface stdout { use wasi:io/streams@0.2.0.{output-stream}; get-stdout: func() -> output-stream; }
  interface stderr { use wasi:io/streams@0.2.0.{output-stream}; get-stderr: func() -> output-stream; }
  interface environment {
    get-environment: func() -> list<tuple<string, string>>;
    get-arguments: func() -> list<string>;
    initial-cwd: func() -> option<string>;
  }
}
package wasi:http@0.2.0 { interface odd { ask: func() -> u32; } }
world probe {
  import wasi:io/streams@0.2.0;
  import wasi:cli/stdout@0.2.0;
  import wasi:cli/stderr@0.2.0;
  import wasi:cli/environment@0.2.0;
  import wasi:filesystem/preopens@0.2.0;
  import wasi:http/odd@0.2.0;
  export say: func(text: list<u8>, loud: bool);
  export environment-count: func() -> u32;
  export argument-count: func() -> u32;
  export has-directory: func() -> u32;
  export directory-count: func() -> u32;
  export ask: func() -> u32;
}
"""
CORE = """(module
  (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
  (import "wasi:cli/stderr@0.2.0" "get-stderr" (func $stderr (result i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush"
    (func $write (param i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.0" "[resource-drop]output-stream" (func $drop (param i32)))
  (import "wasi:cli/environment@0.2.0" "get-environment" (func $env (param i32)))
  (import "wasi:cli/environment@0.2.0" "get-arguments" (func $args (param i32)))
  (import "wasi:cli/environment@0.2.0" "initial-cwd" (func $cwd (param i32)))
  (import "wasi:filesystem/preopens@0.2.0" "get-directories" (func $dirs (param i32)))
  (import "wasi:http/odd@0.2.0" "ask" (func $ask (result i32)))
  (memory (export "memory") 2)
  (global $top (mut i32) (i32.const 4096))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (global.set $top (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
    (global.get $top)
    (global.set $top (i32.add (global.get $top) (local.get 3))))
  (func (export "say") (param i32 i32 i32) (local $stream i32)
    (local.set $stream (if (result i32) (local.get 2) (then (call $stderr)) (else (call $stdout))))
    (call $write (local.get $stream) (local.get 0) (local.get 1) (i32.const 64))
    (if (i32.load8_u (i32.const 64)) (then unreachable))
    (call $drop (local.get $stream))
    (global.set $top (i32.const 4096)))
  (func (export "environment-count") (result i32) (call $env (i32.const 64)) (i32.load (i32.const 68)))
  (func (export "argument-count") (result i32) (call $args (i32.const 64)) (i32.load (i32.const 68)))
  (func (export "has-directory") (result i32) (call $cwd (i32.const 64)) (i32.load8_u (i32.const 64)))
  (func (export "directory-count") (result i32) (call $dirs (i32.const 64)) (i32.load (i32.const 68)))
  (func (export "ask") (result i32) (call $ask)))"""


@pytest.fixture
def probe(tooled: Tooled, tmp_path: Path, compile_text: Callable[[str | bytes], Any]) -> Any:
    """A component that looks at what WASI gives it."""
    wit = tmp_path / "probe.wit"
    wit.write_text(WIT)
    return compile_text(tooled(wit, "probe", CORE))


@pytest.fixture
def open_probe(guest_engine: WasmEngine, probe: Any) -> Any:
    """Makes an instance of it."""

    def open_it(store: GuestStore, on_output: Callable[[str, bytes], None] | None = None) -> ComponentInstance:
        return ComponentInstance(store, probe, HostImports(), label="probe", deadline=5.0, on_output=on_output)

    return open_it


def test_nothing_is_granted(guest_engine: WasmEngine, open_probe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No environment, arguments, current directory or files."""
    monkeypatch.setenv("SECRET", "value")
    with GuestStore(guest_engine) as store, open_probe(store) as instance:
        counts = {
            name: instance.function("", name)()
            for name in ("environment-count", "argument-count", "has-directory", "directory-count")
        }
    assert counts == {"environment-count": 0, "argument-count": 0, "has-directory": 0, "directory-count": 0}


def test_output_reaches_the_caller(
    guest_engine: WasmEngine, open_probe: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """Under the stream's name, in order, bytes as they are; none of it on the host's own streams."""
    seen: list[tuple[str, bytes]] = []
    with (
        GuestStore(guest_engine) as store,
        open_probe(store, lambda stream, data: seen.append((stream, data))) as instance,
    ):
        say = instance.function("", "say")
        say(b"one\xff\0", False)
        say(b"two\n", True)
        say(b"x" * 3000, False)
    assert b"".join(data for stream, data in seen if stream == "stdout") == b"one\xff\0" + b"x" * 3000
    assert b"".join(data for stream, data in seen if stream == "stderr") == b"two\n"
    assert {stream for stream, _ in seen} == {"stdout", "stderr"}
    assert capfd.readouterr() == ("", "")


def test_output_without_a_listener_is_discarded(
    guest_engine: WasmEngine, open_probe: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """And the guest does not notice."""
    with GuestStore(guest_engine) as store, open_probe(store) as instance:
        instance.function("", "say")(b"to nobody", False)
        assert instance.alive
    assert capfd.readouterr() == ("", "")


def test_a_listener_that_raises_is_not_asked_again(guest_engine: WasmEngine, open_probe: Any) -> None:
    """The guest goes on; the exception is on record."""
    calls = []

    def listen(stream: str, data: bytes) -> None:
        calls.append(data)
        raise OSError("full")

    with GuestStore(guest_engine) as store, open_probe(store, listen) as instance:
        say = instance.function("", "say")
        say(b"one", False)
        say(b"two", False)
        assert calls == [b"one"]
        assert str(instance.output_failure) == "full"
        assert instance.alive


def test_what_is_not_preview_2_is_refused_when_called(guest_engine: WasmEngine, open_probe: Any) -> None:
    """It does not keep a component from being instantiated: language runtimes import more than they use."""
    with GuestStore(guest_engine) as store, open_probe(store) as instance:
        with pytest.raises(GuestContract, match=r"wasi:http/odd@0\.2\.0#ask, which this host does not provide"):
            instance.function("", "ask")()
        assert not instance.alive


def test_what_passes_on_resources_of_preview_2_is_refused_at_once(
    guest_engine: WasmEngine, compile_text: Callable[[str], Any]
) -> None:
    """It cannot be linked without being granted, and the message names it."""
    component = compile_text("""(component
      (import "wasi:io/error@0.2.0" (instance $e (export "error" (type (sub resource)))))
      (alias export $e "error" (type $error))
      (import "wasi:http/types@0.2.0" (instance (export "error" (type (eq $error))))))""")
    with GuestStore(guest_engine) as store, pytest.raises(InstantiateFailed, match=r"wasi:http/types@0\.2\.0#error"):
        ComponentInstance(store, component, HostImports(), label="probe", deadline=5.0)


@pytest.mark.parametrize(
    ("interface", "provided"),
    [
        ("wasi:cli/stdout@0.2.0", True),
        ("wasi:sockets/tcp@0.2.6", True),
        ("wasi:http/types@0.2.0", False),
        ("wasi:cli/stdout@0.3.0", False),
        ("wasi:clinic/x@0.2.0", False),
    ],
)
def test_what_counts_as_preview_2(interface: str, provided: bool) -> None:
    """Six packages of version 0.2."""
    assert is_provided(interface) is provided


def test_a_closed_tap_is_silent() -> None:
    """Output that comes after the end goes nowhere."""
    seen: list[bytes] = []
    tap = OutputTap(lambda _stream, data: seen.append(data))
    tap.take("stdout", b"a")
    tap.close()
    tap.take("stdout", b"b")
    assert seen == [b"a"]
