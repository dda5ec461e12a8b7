"""Many renders in parallel processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from stellatune_plugins.errors import OutputFailed, UsageError
from stellatune_plugins.session import (
    BatchPlan,
    JobEvent,
    JobFailed,
    JobFinished,
    JobProgress,
    JobStarted,
    RenderFailure,
    RenderJob,
    RenderOptions,
    RenderReport,
    RuntimeSpec,
    build,
    run_batch,
    run_job,
)

Wav = Callable[..., Path]

FACTORY = textwrap.dedent(
    """
    import os, signal, time
    import numpy as np
    from stellatune_plugins.session.native_runtime import NativeRenderRuntime
    from stellatune_plugins.session.stages import IdentityChain

    class Chain(IdentityChain):
        def __init__(self, spec, pause, kill_at):
            super().__init__(spec)
            self.pause, self.kill_at = pause, kill_at
        def process(self, block):
            if self.pause:
                time.sleep(self.pause)
            if self.kill_at is not None and float(abs(block).max()) > self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return block

    class Runtime(NativeRenderRuntime):
        pause, kill_at = 0.0, None
        def chain(self, spec):
            return Chain(spec, self.pause, self.kill_at)

    def make(pause=0.0, kill_at=None):
        runtime = Runtime()
        runtime.pause, runtime.kill_at = pause, kill_at
        return runtime
    """
)


@pytest.fixture
def factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., RuntimeSpec]:
    """A runtime whose chain is slow, or kills its process at a loud block; importable in workers."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "batch_test_runtime.py").write_text(FACTORY)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return lambda **arguments: RuntimeSpec("batch_test_runtime:make", arguments)


def plan_of(tmp_path: Path, sources: list[Path], runtime: RuntimeSpec | None = None, **options: Any) -> BatchPlan:
    """Jobs into a folder that is not there yet."""
    jobs = tuple(RenderJob(str(source), str(tmp_path / "out" / "deep" / f"{source.stem}.flac")) for source in sources)
    return BatchPlan(jobs, RenderOptions(loudness=False, true_peak=False, **options), runtime or RuntimeSpec())


@pytest.mark.parametrize("jobs", [1, 2])
def test_one_failure_does_not_stop_the_others(studio: Any, wav: Wav, tmp_path: Path, jobs: int) -> None:
    """Outcomes come in the plan's order, a failure with its error as data; the events tell the same story."""
    good = [wav(studio.music(30_000, seed=n), name=f"{n}.wav") for n in range(3)]
    bad = tmp_path / "bad.wav"
    bad.write_text("no audio")
    events: list[Any] = []
    outcomes = run_batch(plan_of(tmp_path, [good[0], bad, good[1], good[2]]), jobs, events.append)
    assert [type(outcome) for outcome in outcomes] == [RenderReport, RenderFailure, RenderReport, RenderReport]
    assert isinstance(outcomes[1], RenderFailure)
    assert outcomes[1].error["code"] == "input-unreadable"
    assert sorted(p.name for p in (tmp_path / "out" / "deep").iterdir()) == ["0.flac", "1.flac", "2.flac"]
    counts = {kind: sum(isinstance(e, kind) for e in events) for kind in (JobStarted, JobFinished, JobFailed)}
    assert counts == {JobStarted: 4, JobFinished: 3, JobFailed: 1}
    assert {e.index for e in events if isinstance(e, JobProgress)} == {0, 2, 3}
    assert any(isinstance(e, JobEvent) and e.event.name == "native.loaded" for e in events)
    assert all(e.index is not None for e in events)


def test_parallel_and_serial_files_are_the_same(studio: Any, wav: Wav, tmp_path: Path) -> None:
    """Processes change nothing about the samples."""
    sources = [wav(studio.music(20_000, seed=n), name=f"{n}.wav") for n in range(2)]
    run_batch(plan_of(tmp_path, sources, bits="16"), 1)
    serial = [(tmp_path / "out" / "deep" / f"{n}.flac").read_bytes() for n in range(2)]
    run_batch(plan_of(tmp_path, sources, bits="16", overwrite=True), 2)
    assert serial == [(tmp_path / "out" / "deep" / f"{n}.flac").read_bytes() for n in range(2)]


def test_a_process_that_dies_is_one_failure(
    studio: Any, wav: Wav, tmp_path: Path, factory: Callable[..., RuntimeSpec]
) -> None:
    """Killed in the middle: its half file is removed, its job failed, the others are rendered by fresh processes."""
    deadly = studio.music(200_000)
    deadly[150_000:] = 0.9
    sources = [wav(deadly, name="deadly.wav")] + [wav(studio.music(20_000, seed=n), name=f"{n}.wav") for n in range(3)]
    outcomes = run_batch(plan_of(tmp_path, sources, factory(kill_at=0.8)), 2)
    assert isinstance(outcomes[0], RenderFailure)
    assert "signal 9" in outcomes[0].error["message"]
    assert all(isinstance(outcome, RenderReport) for outcome in outcomes[1:])
    assert sorted(p.name for p in (tmp_path / "out" / "deep").iterdir()) == ["0.flac", "1.flac", "2.flac"]


def test_a_runtime_that_cannot_be_made_is_each_jobs_failure(studio: Any, wav: Wav, tmp_path: Path) -> None:
    """In workers; in this process it is raised outright."""
    sources = [wav(studio.music(100, seed=n), name=f"{n}.wav") for n in range(2)]
    plan = plan_of(tmp_path, sources, RuntimeSpec("no.such.module:make"))
    assert [o.error["code"] for o in run_batch(plan, 2) if isinstance(o, RenderFailure)] == ["usage", "usage"]
    with pytest.raises(UsageError):
        run_batch(plan, 1)


@pytest.mark.parametrize("path", ["nothing", "json:nothing", ":", "json:", ""])
def test_a_factory_is_found_or_refused(path: str) -> None:
    """A dotted path that leads nowhere is the caller's error."""
    with pytest.raises(UsageError):
        build(RuntimeSpec(path))


def test_an_output_folder_that_cannot_be_made_fails_plainly(studio: Any, wav: Wav, tmp_path: Path) -> None:
    """A file in the way."""
    source = wav(studio.music(100))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputFailed):
        run_job(RenderJob(str(source), str(tmp_path / "file" / "x.wav")), RenderOptions(), studio.runtime)


def test_an_empty_plan_is_done_at_once() -> None:
    """Without processes."""
    assert run_batch(BatchPlan(()), 4) == []


SCRIPT = """
import sys
from stellatune_plugins.session import *
if __name__ == "__main__":
    sources, out, jobs = sys.argv[3:], sys.argv[1], int(sys.argv[2])
    plan = BatchPlan(
        tuple(RenderJob(s, f"{out}/{i}.flac") for i, s in enumerate(sources)),
        RenderOptions(), RuntimeSpec("batch_test_runtime:make", {"pause": 0.05}),
    )
    try:
        run_batch(plan, jobs, lambda e: isinstance(e, JobProgress) and print("progress", flush=True))
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        sys.exit(130)
"""


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("to", ["group", "parent"])
@pytest.mark.usefixtures("factory")
def test_ctrl_c_leaves_neither_files_nor_processes(studio: Any, wav: Wav, tmp_path: Path, jobs: int, to: str) -> None:
    """Whether the terminal signals everyone or somebody only the parent: one answer, no part, no process, no noise."""
    sources = [str(wav(studio.music(48000 * 20, 1, seed=n), name=f"{n}.wav", subtype="PCM_16")) for n in range(2)]
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "script.py").write_text(SCRIPT)
    argv = [sys.executable, str(tmp_path / "script.py"), str(out), str(jobs), *sources]
    child = subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, env=dict(os.environ)
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "progress\n"
        assert [p for p in out.iterdir() if p.name.endswith(".part")]
        if to == "group":
            os.killpg(child.pid, signal.SIGINT)
        else:
            os.kill(child.pid, signal.SIGINT)
        stdout, stderr = child.communicate(timeout=30)
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
    assert (child.returncode, stdout.splitlines()[-1], stderr) == (130, "interrupted", "")
    assert list(out.iterdir()) == []
    deadline = time.monotonic() + 20  # multiprocessing's own helper ends a moment after its parent
    while _group_lives(child.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _group_lives(child.pid)


@pytest.mark.usefixtures("factory")
def test_workers_end_when_their_parent_is_killed(studio: Any, wav: Wav, tmp_path: Path) -> None:
    """Nobody is left to tell them: the end of the pipe does, and they remove their parts."""
    sources = [str(wav(studio.music(48000 * 20, 1, seed=n), name=f"{n}.wav", subtype="PCM_16")) for n in range(2)]
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "script.py").write_text(SCRIPT)
    argv = [sys.executable, str(tmp_path / "script.py"), str(out), "2", *sources]
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True, env=dict(os.environ))
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "progress\n"
        child.kill()
        child.communicate(timeout=30)
        deadline = time.monotonic() + 20
        while list(out.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert list(out.iterdir()) == []
        while _group_lives(child.pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not _group_lives(child.pid)
    finally:
        if _group_lives(child.pid):
            os.killpg(child.pid, signal.SIGKILL)


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_picture_is_made_beside_the_file(studio: Any, wav: Wav, tmp_path: Path) -> None:
    """A job that names one gets one."""
    source = wav(studio.music(30_000))
    job = RenderJob(str(source), str(tmp_path / "out.flac"), str(tmp_path / "out.png"))
    run_job(job, RenderOptions(), studio.runtime)
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    assert np.array_equal(soundfile.read(tmp_path / "out.flac")[0].shape, (30_000, 2))
