"""WASI's sockets: there, and of no use to anybody."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stellatune_plugins.engine import ComponentInstance, GuestStore, HostImports, WasmEngine

if TYPE_CHECKING:
    from makers import Tooled

WIT = """package test:probe@0.1.0;
package wasi:sockets@0.2.0 {
  interface network {
    enum error-code {
      unknown, access-denied, not-supported, invalid-argument, out-of-memory, timeout, concurrency-conflict,
      not-in-progress, would-block, invalid-state, new-socket-limit, address-not-bindable, address-in-use,
      remote-unreachable, connection-refused, connection-reset, connection-aborted, datagram-too-large,
      name-unresolvable, temporary-resolver-failure, permanent-resolver-failure,
    }
    enum ip-address-family { ipv4, ipv6 }
  }
  interface tcp { resource tcp-socket; }
  interface udp { resource udp-socket; }
  interface tcp-create-socket {
    use network.{error-code, ip-address-family};
    use tcp.{tcp-socket};
    create-tcp-socket: func(address-family: ip-address-family) -> result<tcp-socket, error-code>;
  }
  interface udp-create-socket {
    use network.{error-code, ip-address-family};
    use udp.{udp-socket};
    create-udp-socket: func(address-family: ip-address-family) -> result<udp-socket, error-code>;
  }
}
world probe {
  import wasi:sockets/tcp-create-socket@0.2.0;
  import wasi:sockets/udp-create-socket@0.2.0;
  export hoard: func(count: u32) -> u32;
}
"""
CORE = """(module
  (import "wasi:sockets/tcp-create-socket@0.2.0" "create-tcp-socket" (func $tcp (param i32 i32)))
  (import "wasi:sockets/udp-create-socket@0.2.0" "create-udp-socket" (func $udp (param i32 i32)))
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
  (func (export "hoard") (param $count i32) (result i32) (local $made i32)
    (block $done (loop $more
      (br_if $done (i32.eqz (local.get $count)))
      (local.set $count (i32.sub (local.get $count) (i32.const 1)))
      (call $tcp (i32.const 0) (i32.const 64))
      (local.set $made (i32.add (local.get $made) (i32.eqz (i32.load8_u (i32.const 64)))))
      (call $udp (i32.const 0) (i32.const 64))
      (local.set $made (i32.add (local.get $made) (i32.eqz (i32.load8_u (i32.const 64)))))
      (br $more)))
    (local.get $made)))"""


def test_nobody_gets_a_socket(
    guest_engine: WasmEngine, tooled: Tooled, tmp_path: Path, compile_text: Callable[[str | bytes], Any]
) -> None:
    """Not even one to keep: a guest could take every descriptor of the process that it lives in."""
    wit = tmp_path / "probe.wit"
    wit.write_text(WIT)
    component = compile_text(tooled(wit, "probe", CORE))
    with (
        GuestStore(guest_engine) as store,
        ComponentInstance(store, component, HostImports(), label="probe", deadline=5.0) as instance,
    ):
        assert instance.function("", "hoard")(2000) == 0
