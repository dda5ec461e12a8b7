"""A confinement as the plan for one tier."""

from __future__ import annotations

import functools
import os

from stellatune_plugins.host.sidecar.keeper.plan import Plan
from stellatune_plugins.host.sidecar.sandbox.audio import DEVICES, AudioAccess
from stellatune_plugins.host.sidecar.sandbox.confinement import Confinement
from stellatune_plugins.host.sidecar.sandbox.tiers import Sandboxes, SandboxTier

_TMP_BYTES = 64 << 20
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_KERNEL_SECRETS = ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/proc/latency_stats")


def make_plan(confinement: Confinement, tier: SandboxTier, sandboxes: Sandboxes) -> Plan:
    """What the keeper is told."""
    wrapped = tier is SandboxTier.BUBBLEWRAP
    return Plan(
        tier=tier.value,
        argv=list(confinement.argv),
        env=confinement.variables(),
        folder=str(confinement.data),
        private=str(confinement.private),
        numbers=list(confinement.inherited),
        network=confinement.network,
        filtered=sandboxes.filtered,
        scoped=sandboxes.scoped,
        unix_sockets=has_unix_sockets(
            tier, sandboxes, network=confinement.network, audio=confinement.audio is not None
        ),
        limits=confinement.limits,
        rules=landlock_rules(confinement) if tier is SandboxTier.LANDLOCK else [],
        bubblewrap=sandboxes.bubblewrap or "" if wrapped else "",
        options=bubblewrap_options(confinement, sandboxes) if wrapped else [],
    )


def has_unix_sockets(tier: SandboxTier, sandboxes: Sandboxes, *, network: bool, audio: bool) -> bool:
    """Whether a sidecar gets Unix sockets. Not where they would reach other programs of the user.

    Landlock does not say which named ones. Abstract ones belong to the network namespace: in the host's, a window
    system or an input method listens, and only a newer kernel keeps it apart. A sound server needs them all the same.
    """
    if tier is SandboxTier.LANDLOCK:
        return False
    return tier is SandboxTier.NONE or sandboxes.scoped or audio or not network


def landlock_rules(confinement: Confinement) -> list[tuple[str, str]]:
    """Paths, and what may be done with them. Sound servers are out of reach: no socket can be told from another."""
    rules = [(str(path), "read") for path in (*confinement.readable(), confinement.root)]
    rules += [(str(path), "list") for path in confinement.listable()]
    rules += [(str(path), "write") for path in (confinement.data, confinement.private / "tmp")]
    rules.append((str(confinement.private), "use"))
    rules += [(path, "device") for path in _DEVICES]
    if confinement.audio is not None and confinement.audio.devices:
        rules.append((str(DEVICES), "device"))
    return rules


def bubblewrap_options(confinement: Confinement, sandboxes: Sandboxes) -> list[str]:
    """Bubblewrap's arguments: namespaces, then the file system from the bottom up, then the environment."""
    options = ["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    if not confinement.network:
        options.append("--unshare-net")
    if sandboxes.disables_namespaces:
        options.append("--disable-userns")
    options += ["--die-with-parent", "--new-session", "--cap-drop", "ALL", "--hostname", "sidecar"]
    options += ["--proc", "/proc", "--dev", "/dev"]
    options += _kernel_options()
    if sandboxes.disables_namespaces:  # the same version brought sizes
        options += ["--size", str(_TMP_BYTES), "--tmpfs", "/dev/shm"]  # noqa: S108 - in there
    options += _small_folder("/tmp", sandboxes)  # noqa: S108 - likewise
    for path in (*confinement.readable(), confinement.root):
        if path.is_symlink() and path.parent == path.parent.parent:  # /bin and the like
            options += ["--symlink", str(path.readlink()), str(path)]
        else:
            options += ["--ro-bind-try", str(path), str(path)]
    options += ["--bind", str(confinement.data), str(confinement.data)]
    # Sockets and pipes can be written to all the same. A sidecar that could put other things in their place would have
    # the host open those; and the folder may lie in a small file system that the user's session lives on.
    options += ["--ro-bind", str(confinement.private), str(confinement.private)]
    options += _small_folder(str(confinement.private / "tmp"), sandboxes)
    options += _sound_options(confinement.audio)
    options += ["--remount-ro", "/", "--chdir", str(confinement.data), "--clearenv"]
    for name, value in confinement.variables().items():
        options += ["--setenv", name, value]
    return options


def _small_folder(path: str, sandboxes: Sandboxes) -> list[str]:
    """In memory, and gone with the sandbox."""
    size = ["--size", str(_TMP_BYTES)] if sandboxes.disables_namespaces else []
    return [*size, "--tmpfs", path]


def _sound_options(audio: AudioAccess | None) -> list[str]:
    if audio is None:
        return []
    options: list[str] = []
    for path in audio.sockets:
        options += ["--bind-try", str(path), str(path)]
    for path in audio.readable:
        options += ["--ro-bind-try", str(path), str(path)]
    if audio.devices:
        options += ["--dev-bind-try", str(DEVICES), str(DEVICES)]
    return options


@functools.cache
def _kernel_options() -> list[str]:
    """Whatever of ``/proc`` is not about processes becomes read-only, and some of it empty.

    Most of it is root's, and the kernel asks for root's files whether they are one's own, not for capabilities: a host
    that runs as root would leave the machine's settings open. A new ``/proc`` has the same entries as this one.
    """
    options: list[str] = []
    for entry in sorted(os.scandir("/proc"), key=lambda entry: entry.name):
        if entry.name.isdigit() or entry.is_symlink():
            continue
        if entry.path in _KERNEL_SECRETS:
            options += ["--ro-bind", "/dev/null", entry.path]
        elif entry.is_dir() or entry.stat().st_mode & 0o222:
            options += ["--ro-bind", entry.path, entry.path]
    return options
