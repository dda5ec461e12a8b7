"""One compilation of the same code at a time."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

from stellatune_plugins.engine.cache_folder import CacheFolder
from stellatune_plugins.engine.cache_lock import CompileClaims

ONE, TWO = bytes(32), bytes([1]) * 32
HOLDER = """
import sys, pathlib
from stellatune_plugins.engine.cache_folder import CacheFolder
from stellatune_plugins.engine.cache_lock import CompileClaims
claim = CompileClaims(CacheFolder(pathlib.Path(sys.argv[1]), cap_bytes=1)).take(bytes(32))
print("held" if claim else "refused", flush=True)
sys.stdin.read()
"""


def _folder(path: Path) -> CacheFolder:
    return CacheFolder(path / "code", cap_bytes=1)


def test_a_claim_excludes_the_same_key_alone(tmp_path: Path) -> None:
    """The same key is refused until the claim is closed; another key is free."""
    for folder in (None, _folder(tmp_path)):
        claims = CompileClaims(folder)
        first = claims.take(ONE)
        assert first is not None
        assert claims.take(ONE) is None
        other = claims.take(TWO)
        assert other is not None
        first.close()
        again = claims.take(ONE)
        assert again is not None
        for claim in (other, again):
            claim.close()


def test_stores_of_one_process_exclude_each_other(tmp_path: Path) -> None:
    """Two stores over one folder share its claims."""
    first = CompileClaims(_folder(tmp_path)).take(ONE)
    assert first is not None
    with contextlib.closing(first):
        assert CompileClaims(_folder(tmp_path)).take(ONE) is None


def test_a_dead_process_holds_nothing(tmp_path: Path) -> None:
    """A claim of another process is respected, and is gone with the process when it is killed."""
    folder = _folder(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert CompileClaims(folder).take(ONE) is None
        holder.kill()
        holder.wait()
        claim = CompileClaims(folder).take(ONE)
        assert claim is not None
        claim.close()


def test_without_a_folder_to_write_there_is_still_a_claim(tmp_path: Path) -> None:
    """Where no lock file can be made, threads still exclude each other."""
    (tmp_path / "file").write_bytes(b"")
    claims = CompileClaims(CacheFolder(tmp_path / "file" / "code", cap_bytes=1))
    claim = claims.take(ONE)
    assert claim is not None
    assert claims.take(ONE) is None
    claim.close()
