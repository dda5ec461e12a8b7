"""What all tests share: programs that may be missing, no skip in CI, a home that is nobody's."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator

import hypothesis
import pytest

IN_CI = os.environ.get("CI") == "true"

# Machines differ in speed, and two cores are shared: hypothesis' own clock would fail tests at random.
hypothesis.settings.register_profile("house", deadline=None, print_blob=True)
hypothesis.settings.load_profile("house")


def _landlock() -> bool:
    from stellatune_plugins.host.sidecar.keeper import landlock  # noqa: PLC0415 - few tests need it

    return landlock.abi() >= landlock.NEEDED_ABI


def _has(program: str) -> Callable[[], bool]:
    return lambda: shutil.which(program) is not None


NEEDS: dict[str, Callable[[], bool]] = {
    "bwrap": _has("bwrap"),
    "ffmpeg": _has("ffmpeg"),
    "landlock": _landlock,
    "flac": _has("flac"),
    "openssl": _has("openssl"),
    "parec": _has("parec"),
    "pulseaudio": _has("pulseaudio"),
    "strace": _has("strace"),
}
"""What a test may need from the system, and how to find out whether it is there."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip by name what the machine cannot run."""
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            if name not in NEEDS:
                pytest.fail(f"tests/conftest.py does not know how to look for {name!r}", pytrace=False)
            if not NEEDS[name]():
                pytest.skip(f"needs {name}, which this machine lacks")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test is a failed one: CI installs what tests need."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, where nothing may be: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for whole modules that skip themselves."""
    report = yield
    if IN_CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, where nothing may be: {report.longrepr}"
    return report


@pytest.fixture(scope="session", autouse=True)
def _nobodys_home(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
    """A test that forgets to name a home gets an empty one, never the developer's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STELLATUNE_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="session")
def stress_size() -> Callable[[int, int], int]:
    """How large a long proof is: its short form, or ``STELLATUNE_STRESS`` percent of its full one.

    ``make test`` leaves the variable alone, ``make stress`` sets it to 100.
    """
    percent = int(os.environ.get("STELLATUNE_STRESS", "0"))

    def size(short: int, full: int) -> int:
        return max(short, full * percent // 100)

    return size
