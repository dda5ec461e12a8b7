"""What a hostile sidecar makes of the folder that it shares with the host, to have the host do its work for it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from stellatune_plugins.host.sidecar import SidecarHost, SidecarSettings, TransportWish
from stellatune_plugins.host.sidecar.interface import LaunchSpec
from stellatune_plugins.host.sidecar.keeper.clearing import remove
from stellatune_plugins.host.sidecar.nursery import Nursery
from stellatune_plugins.host.sidecar.sandbox import SandboxTier, detect
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.observe.events import SidecarExited
from stellatune_plugins.package.grants import GrantKind

from .conftest import TIERS, Rig, hear, in_tier, lines_of, spec


@pytest.fixture(params=TIERS[:2])
def caged(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """Once for each sandbox."""
    rig = in_tier(tmp_path, request.param)
    rig.timeouts = HostTimeouts(open_channel=0.5)
    yield rig
    rig.close()


def test_the_host_follows_no_link_in_the_place_of_a_pipe(caged: Rig) -> None:
    """Or else what the plugin writes to the channel would go into any file that the host may write to."""
    victim = caged.folder / "victim"
    victim.write_text("what was there")
    script = caged.script(
        f"""
        import contextlib, os, sys
        pipe = os.environ["STELLATUNE_SIDECAR_CONTROL_PIPE"].split(";")[0].removeprefix("tx=")
        with contextlib.suppress(OSError):
            os.rename(pipe, pipe + ".aside")
        with contextlib.suppress(OSError):
            os.unlink(pipe)
        with contextlib.suppress(OSError):
            os.symlink({str(victim)!r}, pipe)
        sys.stdin.read()
        """
    )
    wishes = (TransportWish("named-pipe", 9, None),)
    process = caged.serve().launch(LaunchSpec("instance", script, (), wishes, (), ()))
    time.sleep(0.3)
    channel = process.open_control()  # stdio, the last resort
    try:
        assert channel.transport() == "stdio"
        channel.write(b"overwritten!")
    finally:
        channel.close()
    process.terminate(0)
    assert victim.read_text() == "what was there"


def test_the_end_of_a_sidecar_that_dug_deep_is_heard_of(caged: Rig) -> None:
    """Its folder goes, however deep the folders in it are, and its place is free again."""
    script = caged.script(
        """
        import os, sys, tempfile
        os.chdir(tempfile.gettempdir())
        for _ in range(1500):
            os.mkdir("d")
            os.chdir("d")
        print(tempfile.gettempdir(), flush=True)
        sys.stdin.read()
        """
    )
    process = caged.serve().launch(spec(script))
    folder = Path(hear(process).decode().strip())
    assert folder.name == "tmp"
    process.terminate(5_000)
    assert not folder.parent.exists()
    assert caged.of(SidecarExited)


@pytest.mark.needs("bwrap")
def test_the_network_opens_no_socket_of_the_desktop(tmp_path: Path) -> None:
    """On a kernel that cannot keep a process from the abstract sockets of its network namespace."""
    older = msgspec.structs.replace(detect(), scoped=False)
    rig = Rig(tmp_path, settings=SidecarSettings(grace=0.5, tier=SandboxTier.BUBBLEWRAP))
    rig.grant(GrantKind.SIDECAR_NETWORK, "sidecar.py")
    host = SidecarHost(rig.home, rig.bus(), settings=rig.settings, sandboxes=older)
    name = f"stellatune-trick-{os.getpid()}"
    try:
        with socket.socket(socket.AF_UNIX) as desktop, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
            desktop.bind(f"\0{name}")
            desktop.listen()
            journal.bind(f"\0{name}-datagram")
            script = rig.script(
                f"""
                import socket

                def connect():
                    socket.socket(socket.AF_UNIX).connect("\\0{name}")

                def send(kind):
                    socket.socketpair(socket.AF_UNIX, kind)[0].sendmsg([b"x"], [], 0, "\\0{name}-datagram")

                socket.socket(socket.AF_INET).close()
                ways = (connect, lambda: send(socket.SOCK_DGRAM), lambda: send(socket.SOCK_RAW))
                for number, way in enumerate(ways):
                    try:
                        way()
                        print("reached", number)
                    except PermissionError:
                        print("stopped", number)
                """
            )
            wishes = (TransportWish("unix-socket", 9, None), TransportWish("stdio", 1, None))
            process = rig.serve(host).launch(LaunchSpec("instance", script, (), wishes, (), ()))
            assert lines_of(process) == ["stopped 0", "stopped 1", "stopped 2"]
    finally:
        host.close()
        rig.close()


def test_a_folder_that_somebody_else_made_is_not_used(tmp_path: Path) -> None:
    """Whoever saw its name in time could exchange what is in it; one of our own from before will do."""
    for name, mode in (("open", 0o777), ("readable", 0o755)):
        folder = tmp_path / name
        folder.mkdir()
        folder.chmod(mode)
        nursery = Nursery(folder)
        with pytest.raises(OSError, match="did not start"):
            nursery.folder()
        nursery.close()
        assert folder.exists()
    (tmp_path / "link").symlink_to(tmp_path)
    linked = Nursery(tmp_path / "link")
    with pytest.raises(OSError, match="did not start"):
        linked.folder()
    linked.close()
    (tmp_path / "ours").mkdir(mode=0o700)
    ours = Nursery(tmp_path / "ours")
    assert ours.folder() == tmp_path / "ours"
    ours.close()
    assert not (tmp_path / "ours").exists()


def test_removing_follows_no_link_and_heeds_no_mode(tmp_path: Path) -> None:
    """What is beside the folder stays, what is in it goes."""
    outside = tmp_path / "outside"
    (outside / "folder").mkdir(parents=True)
    (outside / "file").write_text("kept")
    doomed = tmp_path / "doomed"
    (doomed / "a/b/c").mkdir(parents=True)
    (doomed / "a/b/file").write_text("x")
    for name in ("link", "a/link", "a/b/link", "a/b/c/link"):
        (doomed / name).symlink_to(outside)
    for name in ("a/b/c", "a/b", "a"):
        (doomed / name).chmod(0)
    remove(doomed)
    assert not doomed.exists()
    assert sorted(path.name for path in outside.iterdir()) == ["file", "folder"]
    (tmp_path / "to-outside").symlink_to(outside)
    remove(tmp_path / "to-outside")
    remove(tmp_path / "nothing")
    assert (outside / "file").read_text() == "kept"
