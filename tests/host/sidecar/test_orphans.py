"""Whatever dies first, nothing of a sidecar is left three seconds later: no process, socket, folder, lock."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import TIERS

HOST = Path(__file__).with_name("orphan_host.py")
DEAF = """
#!/bin/sh
trap '' TERM HUP INT
echo ready
while true; do sleep 1; done
"""


@pytest.mark.stress
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scenario", ["host_killed", "thread_ended", "keepers_killed"])
@pytest.mark.parametrize("tier", TIERS)
def test_nothing_outlives_the_host(
    tmp_path: Path, scenario: str, tier: str, stress_size: Callable[[int, int], int]
) -> None:
    """Deaf, double-forked sidecars, whose host or keepers are killed at any moment, or whose starting thread ends."""
    rounds = stress_size(3, 500)
    goal = {"folder": str(tmp_path), "tier": tier, "scenario": scenario, "rounds": rounds, "seed": 1}
    done = subprocess.run(
        [sys.executable, str(HOST), json.dumps(goal)], capture_output=True, text=True, check=False, timeout=3500
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    print(f"{scenario} in {tier}: {rounds} rounds, all gone after {said['slowest']:.2f} s at most")  # noqa: T201
    assert not said["failures"]
