"""Which sandboxes this machine offers, found out by trying, and the choice among them."""

from __future__ import annotations

import enum
import functools
import shutil
import subprocess
import sys
from typing import Final

import msgspec

from stellatune_plugins.host.sidecar.keeper import landlock, seccomp

_TRY_SECONDS: Final = 10.0


class SandboxTier(enum.StrEnum):
    """How a sidecar is kept in, the strongest first."""

    BUBBLEWRAP = "bubblewrap"
    """Namespaces of its own, with a file system of what it may see, and a system call filter."""
    LANDLOCK = "landlock"
    """The host's namespaces, with rules for files, signals and sockets, and a stricter filter."""
    NONE = "none"
    """The rights of the user. Only where the user granted exactly that."""


class Sandboxes(msgspec.Struct, frozen=True, kw_only=True):
    """What works here."""

    bubblewrap: str | None = None
    """The program, where it can make the namespaces that are needed."""
    bubblewrap_problem: str = ""
    """Why not, otherwise."""
    disables_namespaces: bool = False
    """bubblewrap 0.8 or newer: it can forbid user namespaces inside."""
    landlock: bool = False
    landlock_problem: str = ""
    filtered: bool = False
    """System call filters are known for this kind of machine."""
    scoped: bool = False
    """Landlock can keep processes from others' abstract sockets and from signalling them."""

    def choose(self, *, unsandboxed: bool = False, only: SandboxTier | None = None) -> SandboxTier | None:
        """The strongest tier; ``None`` where a sidecar may not run.

        Args:
            unsandboxed: the user granted running without any, should there be none.
            only: the one tier that is wanted, for tests and for those who know.
        """
        offered = [
            *([SandboxTier.BUBBLEWRAP] if self.bubblewrap else []),
            *([SandboxTier.LANDLOCK] if self.landlock else []),
            *([SandboxTier.NONE] if unsandboxed else []),
        ]
        return next((tier for tier in offered if only in {None, tier}), None)

    @property
    def problem(self) -> str:
        """Why there is no sandbox."""
        return f"bubblewrap: {self.bubblewrap_problem}; Landlock: {self.landlock_problem}"


@functools.cache
def detect() -> Sandboxes:
    """What works on this machine; looked at once a process."""
    if not sys.platform.startswith("linux"):
        return Sandboxes(bubblewrap_problem="not on this system", landlock_problem="not on this system")
    program, problem = _bubblewrap()
    filtered = seccomp.supported()
    missing = _landlock_problem(filtered=filtered)
    return Sandboxes(
        bubblewrap=program,
        bubblewrap_problem=problem,
        disables_namespaces=program is not None and _offers(program, "--disable-userns"),
        landlock=not missing,
        landlock_problem=missing,
        filtered=filtered,
        scoped=landlock.abi() >= landlock.NEEDED_ABI,
    )


def _bubblewrap() -> tuple[str | None, str]:
    program = shutil.which("bwrap")
    if program is None:
        return None, "not installed (the package is called bubblewrap)"
    # The same namespaces as a sidecar gets: distributions forbid them to users in several ways.
    tried = _run(
        program,
        *("--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--die-with-parent"),
        *("--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--", "/bin/true"),
    )
    return (program, "") if tried is None else (None, tried)


def _run(*argv: str) -> str | None:
    """None where the program ended well, else what it said."""
    try:
        done = subprocess.run(argv, capture_output=True, timeout=_TRY_SECONDS, check=False, env={}, cwd="/")
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if done.returncode == 0 else done.stderr.decode(errors="replace").strip() or "it failed"


def _offers(program: str, option: str) -> bool:
    try:
        done = subprocess.run([program, "--help"], capture_output=True, timeout=_TRY_SECONDS, check=False, env={})
    except (OSError, subprocess.TimeoutExpired):
        return False
    return option.encode() in done.stdout + done.stderr


def _landlock_problem(*, filtered: bool) -> str:
    found = landlock.abi()
    if found < landlock.NEEDED_ABI:
        return f"Linux 6.12 or newer is needed (ABI {landlock.NEEDED_ABI}, the kernel has {found})"
    return "" if filtered else "no system call filter for this kind of machine"
