"""What is remembered of failures: by other hosts, for an hour, until it is lifted."""

from __future__ import annotations

from pathlib import Path

import pytest

from stellatune_plugins.errors import StateFailed
from stellatune_plugins.host.sidecar.memory import FailureMemory


def test_another_host_remembers(tmp_path: Path) -> None:
    """Failures by their age, quarantines by their reason."""
    now = [1000.0]
    memory = FailureMemory(tmp_path / "home/sidecars.sqlite3", lambda: now[0])
    memory.failed("a", "s")
    now[0] += 10
    memory.failed("a", "s")
    memory.failed("a", "t")
    memory.quarantine("a", "s", "too often")
    now[0] += 5
    again = FailureMemory(tmp_path / "home/sidecars.sqlite3", lambda: now[0])
    assert again.ages("a", "s") == [5.0, 15.0]
    assert again.ages("b", "s") == []
    [found] = again.quarantines()
    assert (found.plugin, found.sidecar, found.since, found.reason) == ("a", "s", 1010.0, "too often")
    assert again.quarantined("a", "s") == found
    assert again.quarantined("a", "t") is None


def test_lifting_gives_a_clean_slate(tmp_path: Path) -> None:
    """Once; the second time there is nothing to lift."""
    memory = FailureMemory(tmp_path / "sidecars.sqlite3")
    memory.failed("a", "s")
    memory.quarantine("a", "s", "too often")
    assert memory.lift("a", "s")
    assert not memory.lift("a", "s")
    assert memory.quarantines() == []
    assert memory.ages("a", "s") == []


def test_a_clock_that_is_set_back_does_no_harm(tmp_path: Path) -> None:
    """Failures of the future do not count, and go."""
    now = [5000.0]
    memory = FailureMemory(tmp_path / "sidecars.sqlite3", lambda: now[0])
    memory.failed("a", "s")
    now[0] = 100.0
    assert memory.ages("a", "s") == []
    memory.failed("a", "s")
    now[0] = 6000.0
    assert memory.ages("a", "s") == []


def test_asking_makes_no_file(tmp_path: Path) -> None:
    """A home without failures stays as it is."""
    memory = FailureMemory(tmp_path / "sidecars.sqlite3")
    assert memory.quarantines() == []
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    """Never an empty answer: a quarantine may have been in it."""
    path = tmp_path / "sidecars.sqlite3"
    path.write_bytes(b"no database" * 100)
    path.chmod(0o600)
    with pytest.raises(StateFailed):
        FailureMemory(path).quarantines()
