"""What a hostile sidecar makes of the folder that it shares with the host, to have the host do its work for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stellatune_plugins.host.sidecar import TransportWish
from stellatune_plugins.host.sidecar.interface import LaunchSpec
from stellatune_plugins.host.sidecar.keeper.clearing import remove
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.observe.events import SidecarExited

from .conftest import TIERS, Rig, hear, in_tier, spec


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
        import os, sys
        pipe = os.environ["STELLATUNE_SIDECAR_CONTROL_PIPE"].split(";")[0].removeprefix("tx=")
        os.unlink(pipe)
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
