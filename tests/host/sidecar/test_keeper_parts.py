"""The keeper's parts by themselves: limits on processes, the filter's code, descendants."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
from pathlib import Path

import pytest

from stellatune_plugins.host.sidecar.keeper import crowd, seccomp
from stellatune_plugins.host.sidecar.keeper.crowd import Crowd
from stellatune_plugins.host.sidecar.keeper.reaper import descendants
from stellatune_plugins.host.sidecar.process import GuestProcess

from .conftest import Rig, hear, spec, until


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("network", [True, False])
@pytest.mark.parametrize(("namespaces", "unix_sockets"), [(True, True), (True, False), (False, False)])
def test_the_filter_is_a_program_that_ends(
    machine: str, network: bool, namespaces: bool, unix_sockets: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every jump goes forward and stays inside, and every path ends in a verdict: what the kernel will check."""
    monkeypatch.setattr("platform.machine", lambda: machine)
    program = seccomp.program(network=network, namespaces=namespaces, unix_sockets=unix_sockets)
    code = list(struct.iter_unpack("=HBBI", program))
    assert len(code) < 4096
    for place, (operation, true, false, _) in enumerate(code):
        if operation & 7 == 5:  # BPF_JMP
            assert place + 1 + max(true, false) < len(code)
    assert code[-1][0] == 6  # BPF_RET
    assert code[-1][3] == 0x7FFF0000  # allow


def test_the_filter_knows_no_other_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then there is none, and Landlock is no sandbox without it."""
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert not seccomp.supported()
    with pytest.raises(KeyError):
        seccomp.program(network=False, namespaces=True, unix_sockets=True)


def test_numbers_are_no_calls_twice() -> None:
    """A number that stands for two names is a slip of the pen in a table that nobody else checks."""
    for column in (0, 1):
        numbers = [both[column] for both in seccomp._NUMBERS.values() if both[column] is not None]
        assert len(numbers) == len(set(numbers))


def test_descendants_are_found_at_any_depth() -> None:
    """Children of children too, parents first."""
    with subprocess.Popen(["/bin/sh", "-c", "/bin/sh -c 'sleep 60 & wait' & wait"], start_new_session=True) as process:
        try:
            until(lambda: len(descendants(process.pid)) == 2)
            assert process.pid in descendants(os.getpid())
            first, second = descendants(process.pid)
            assert descendants(first) == [second]
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_where_nobody_counts_the_keeper_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root is exempt from the kernel's limit; without a control group, the keeper counts."""
    monkeypatch.setattr("os.getuid", lambda: 0)
    monkeypatch.setattr(crowd, "_make_group", lambda _: None)
    with (
        Crowd(1, own_namespace=False) as limit,
        subprocess.Popen(["/bin/sh", "-c", "sleep 60 & sleep 60 & sleep 60 & wait"], start_new_session=True) as process,
    ):
        try:
            assert limit.look_every is not None
            until(limit.too_many)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    with Crowd(None, own_namespace=False) as limit:
        assert limit.look_every is None
        assert not limit.too_many()


def test_groups_go_with_their_sidecars(tiered: Rig) -> None:
    """No empty control group is left, where there are any."""
    process = tiered.serve().launch(spec(tiered.script("#!/bin/sh\necho x\nexec sleep 60\n", "sidecar.sh")))
    assert isinstance(process, GuestProcess)
    assert hear(process) == b"x\n"
    keeper = str(_keeper(process.hosted.run.pid))
    process.terminate(0)
    assert process.wait_exit(10_000) is not None
    until(lambda: not any(name.endswith(f"-{keeper}") for name in _groups()))


def _keeper(pid: int) -> int:
    """The nearest ancestor that is a keeper."""
    while True:
        pid = int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
        if b"keeper.nursery" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid


def _groups() -> list[str]:
    found = []
    for folder, _ in crowd._group_folders():
        if os.path.isdir(folder):  # noqa: PTH112 - the keeper's own paths are texts
            found += [name for name in os.listdir(folder) if name.startswith("stellatune-sidecar-")]  # noqa: PTH208
    return found
