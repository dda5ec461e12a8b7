"""Instances of ``bulk.c``, with lanes and without, that are driven the same way in every world."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

from guest_builder import GUESTS, build_component
from laned import laned
from wasmtime import component as wc

from stellatune_plugins.engine import (
    ComponentInstance,
    Err,
    GuestStore,
    HostImports,
    Ok,
    StoreLimits,
    Variant,
    WasmEngine,
)
from stellatune_plugins.engine.lanes import lanes_of
from stellatune_plugins.engine.world import contract_package

STREAM = "stellatune:plugin/host-stream@0.1.0"
SIDECAR = "stellatune:plugin/sidecar@0.1.0"
WORLDS = {
    "decoder": ("decoder-plugin", "DECODER", "session"),
    "source": ("source-plugin", "SOURCE", "catalog"),
    "dsp": ("dsp-plugin", "DSP", "processor"),
    "output-sink": ("output-sink-plugin", "SINK", "session"),
}
"""World, build flag and configurable resource of each interface."""


@functools.cache
def bulk_wasm(interface: str, *flags: str) -> bytes:
    """The component for a world."""
    world, flag, _ = WORLDS[interface]
    return build_component(GUESTS / "bulk.c", world, flags=(f"-D{flag}", "-O2", "-fno-builtin-memset", *flags))


class Stream:
    """Bytes that the host reads out for a guest."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = data
        self.asked: list[int] = []
        self.closed = 0

    def read(self, most: int) -> Any:
        """At most so many."""
        self.asked.append(most)
        piece, self.data = self.data[:most], self.data[most:]
        return Ok(piece)

    def close(self) -> None:
        """Count it."""
        self.closed += 1


class Channel(Stream):
    """Gives back what was written."""

    def write(self, data: bytes) -> Any:
        """Take all of it."""
        assert type(data) is bytes
        self.data += data
        return Ok(len(data))


class Process:
    """Has one channel."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel


class LockGuard:
    """Never given."""


def _unwanted(*values: Any) -> Any:
    raise AssertionError(f"nobody should have called this: {values}")


class Host:
    """What the guest's imports do; a test replaces what it wants otherwise."""

    def __init__(self) -> None:
        self.stream = Stream()
        self.channel = Channel()
        self.imports = HostImports()
        add = self.imports.add
        for interface in (STREAM, SIDECAR):
            for name in contract_package().interfaces[interface.partition("/")[2].partition("@")[0]].functions:
                add(interface, name, _unwanted)
        self.imports.add_resource(STREAM, "host-stream-handle", Stream)
        add(STREAM, "open", lambda _request: Ok(self.stream))
        add(STREAM, "[method]host-stream-handle.read", self.read)
        self.imports.add_resource(SIDECAR, "process", Process)
        self.imports.add_resource(SIDECAR, "channel", Channel)
        self.imports.add_resource(SIDECAR, "lock-guard", LockGuard)
        add(SIDECAR, "launch", lambda _spec: Ok(Process(self.channel)))
        add(SIDECAR, "[method]process.open-control", lambda process: Ok(process.channel))
        add(SIDECAR, "[method]channel.read", lambda channel, most, _timeout: self.read(channel, most))
        add(SIDECAR, "[method]channel.write", self.write)

    def read(self, stream: Stream, most: int) -> Any:
        """Serves both reads."""
        return stream.read(most)

    def write(self, channel: Channel, data: bytes) -> Any:
        """Serves the write."""
        return channel.write(data)


class BulkGuest:
    """One instance, opened; ``carry`` is its bulk function."""

    def __init__(self, instance: ComponentInstance, interface: str, host: Host) -> None:
        self.instance = instance
        self.interface = interface
        self.host = host
        self._full = f"stellatune:plugin/{interface}@0.1.0"
        resource = WORLDS[interface][2]
        self.function("stellatune:plugin/lifecycle@0.1.0", "on-enable")()
        if interface == "decoder":
            self.made = self.function(self._full, "open")(host.stream, None).value
        elif interface == "dsp":
            self.made = self.function(self._full, "create")({"sample-rate": 44100, "channels": 2}).value
        else:
            self.made = self.function(self._full, "create")().value
        self._configure = self.function(self._full, f"[method]{resource}.apply-config-update-json")
        self.reader = self.made
        if interface == "source":
            opened = self.function(self._full, "[method]catalog.open-uri")(self.made, "somewhere")
            self.reader = opened.value["handle"].value
        self.bulk = self.function(self._full, BULK_NAMES[interface])

    @property
    def takes_bytes(self) -> bool:
        """Whether the bulk function has bytes as its input; else a number of bytes to read."""
        return self.interface in {"dsp", "output-sink"}

    def function(self, interface: str, name: str) -> Any:
        """An exported function."""
        return self.instance.function(interface, name)

    def play(self, how: str) -> None:
        """See ``bulk.c``."""
        assert self._configure(self.made, how) == Ok(None)

    def carry(self, given: int | bytes, **options: Any) -> Any:
        """Call the bulk function: with bytes, or with how many are wanted."""
        args = (2, given) if self.takes_bytes else (given,)
        return self.bulk(self.reader, *args, **options)


BULK_NAMES = {
    "decoder": "[method]session.read-pcm-f32",
    "source": "[method]source-stream.read",
    "dsp": "[method]processor.process-interleaved-f32",
    "output-sink": "[method]session.write-interleaved-f32",
}


class BulkGuests:
    """Makes them; each component is compiled once, with lanes and without."""

    def __init__(self, engine: WasmEngine) -> None:
        self.engine = engine
        self._components: dict[tuple[str, bool], Any] = {}

    def component(self, interface: str, *, lanes: bool) -> Any:
        """The compiled component."""
        key = (interface, lanes)
        if key not in self._components:
            wasm = bulk_wasm(interface)
            self._components[key] = laned(self.engine, wasm) if lanes else wc.Component(self.engine.raw, wasm)
            assert bool(lanes_of(self._components[key])) is lanes
        return self._components[key]

    @contextlib.contextmanager
    def open(
        self,
        interface: str,
        *,
        lanes: bool,
        host: Host | None = None,
        limits: StoreLimits | None = None,
        deadline: float = 20.0,
    ) -> Iterator[BulkGuest]:
        """One of them, closed afterwards."""
        host = host or Host()
        with (
            GuestStore(self.engine, limits, label="bulk") as store,
            ComponentInstance(
                store, self.component(interface, lanes=lanes), host.imports, label="bulk", deadline=deadline
            ) as instance,
        ):
            yield BulkGuest(instance, interface, host)


def refusal(case: str, text: str) -> Err:
    """The contract's error."""
    return Err(Variant(case, text))
