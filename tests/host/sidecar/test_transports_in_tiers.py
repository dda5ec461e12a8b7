"""Which transports reach through which sandbox, with the sidecar's own side of them."""

from __future__ import annotations

import pytest

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.sidecar import LaunchSpec, SidecarSettings, TransportWish
from stellatune_plugins.host.sidecar.sandbox import SandboxTier
from stellatune_plugins.package.grants import GrantKind
from stellatune_plugins.package.manifest import TransportKind

from .conftest import TIERS, Rig, lines_of, say, spec

ANSWERS = """
import sys
from stellatune_plugins.sdk.sidecar import Ended, open_control
control = open_control()
try:
    while data := control.read(65536, 30):
        control.write(data.upper())
except Ended:
    pass
"""


def launch(kind: TransportKind, script: str) -> LaunchSpec:
    """With this transport preferred."""
    return LaunchSpec("instance", script, (), (TransportWish(kind.value, 9, None),), (), ())


@pytest.mark.parametrize(
    "kind",
    [TransportKind.STDIO, TransportKind.NAMED_PIPE, TransportKind.UNIX_SOCKET, TransportKind.SHARED_MEMORY_RING],
)
def test_control_by_every_kind(tiered: Rig, kind: TransportKind) -> None:
    """The preferred one, but for Unix sockets under Landlock, where stdio takes their place."""
    process = tiered.serve().launch(launch(kind, tiered.script(ANSWERS)))
    channel = process.open_control()
    try:
        unix = kind is TransportKind.UNIX_SOCKET and tiered.settings.tier is SandboxTier.LANDLOCK
        assert channel.transport() == (TransportKind.STDIO if unix else kind)
        assert channel.write(b"hello") == 5
        assert channel.read(100, 20_000) == b"HELLO"
    finally:
        channel.close()


def test_data_by_a_kind_that_is_not_there_is_unsupported(rig: Rig) -> None:
    """Loopback sockets do not reach into a sandbox without the network."""
    script = rig.script(ANSWERS)
    wish = (TransportWish("loopback-tcp", 1, None),)
    process = rig.serve().launch(LaunchSpec("instance", script, (), (), wish, ()))
    with pytest.raises(PluginFailure) as caught:
        process.open_data("pcm", wish)
    assert caught.value.case == "unsupported"


@pytest.mark.parametrize("tier", TIERS)
def test_loopback_where_the_network_is_granted(rig: Rig, tier: SandboxTier) -> None:
    """And without a sandbox, where nothing keeps it from anybody."""
    rig.settings = SidecarSettings(grace=0.5, tier=tier)
    script = rig.script(ANSWERS)
    rig.grant(GrantKind.SIDECAR_NETWORK, script)
    rig.grant(GrantKind.UNSANDBOXED, script)
    channel = rig.serve().launch(launch(TransportKind.LOOPBACK_TCP, script)).open_control()
    try:
        assert channel.transport() == "loopback-tcp"
        channel.write(b"hello")
        assert channel.read(100, 20_000) == b"HELLO"
    finally:
        channel.close()


REACHES = """
import socket, sys
def tried(what):
    try:
        what()
    except OSError as error:
        return type(error).__name__
    return "reached"
def abstract():
    with socket.socket(socket.AF_UNIX) as client:
        client.connect("\\0" + sys.argv[2])
def named():
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(sys.argv[3])
print(tried(lambda: socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5).close()))
print(tried(abstract))
print(tried(named))
"""


@pytest.mark.parametrize("tier", TIERS[:2])
def test_a_granted_network_is_no_way_to_the_users_sockets(rig: Rig, tier: SandboxTier) -> None:
    """Internet sockets work; abstract ones, which share the network's namespace, are kept apart all the same."""
    import os  # noqa: PLC0415
    import socket  # noqa: PLC0415

    rig.settings = SidecarSettings(grace=0.5, tier=tier)
    script = rig.script(REACHES)
    rig.grant(GrantKind.SIDECAR_NETWORK, script)
    name = f"stellatune-test-{os.getpid()}"
    path = f"/tmp/{name}"  # noqa: S108 - short enough for a socket
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as abstract,
        socket.socket(socket.AF_UNIX) as named,
    ):
        abstract.bind(f"\0{name}")
        abstract.listen()
        named.bind(path)
        named.listen()
        try:
            process = rig.serve().launch(spec(script, str(server.getsockname()[1]), name, path))
            tcp, *others = lines_of(process)
        finally:
            os.unlink(path)  # noqa: PTH108
    assert tcp == "reached"
    assert set(others) <= {"PermissionError", "FileNotFoundError", "ConnectionRefusedError"}


def test_the_sidecars_library_is_there(tiered: Rig) -> None:
    """A Python sidecar can import what is installed for this interpreter."""
    script = tiered.script("import numpy, msgspec\nfrom stellatune_plugins.sdk import sidecar\nprint('there')\n")
    assert lines_of(tiered.serve().launch(spec(script))) == ["there"]


def test_says_hello_on_stdio_with_a_shell(tiered: Rig) -> None:
    """No Python is needed."""
    script = tiered.script('#!/bin/sh\nread line\necho "you said $line"\n', "sidecar.sh")
    assert say(tiered.serve().launch(spec(script)), b"hi\n") == b"you said hi\n"
