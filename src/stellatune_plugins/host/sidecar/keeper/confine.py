"""The last steps of a process before it becomes a sidecar, or the bubblewrap that makes one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from . import landlock, seccomp
from .crowd import Crowd
from .kernel import PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, drop_capabilities, prctl
from .plan import Limits, Plan


class Doors:
    """What a bubblewrap is handed beside the plan: its options, the filter, and two pipes to speak with its keeper."""

    def __init__(self, plan: Plan) -> None:
        floor = floor_of(plan)
        self.told, self.tells = (above(descriptor, floor) for descriptor in os.pipe())
        """It tells which process is the first of the new namespaces."""
        self.waits, self.goes = (above(descriptor, floor) for descriptor in os.pipe())
        """It waits until that has its limits."""
        options = list(plan.options)
        self.descriptors = [self.tells, self.waits]
        if plan.filtered:
            code = seccomp.program(network=plan.network, namespaces=True, unix_sockets=plan.unix_sockets)
            self.descriptors.append(above(_file("filter", code), floor))
            options += ["--seccomp", str(self.descriptors[-1])]
        options += ["--json-status-fd", str(self.tells), "--block-fd", str(self.waits)]
        # The environment holds tokens, and everybody sees a program's arguments.
        text = b"".join(os.fsencode(option) + b"\0" for option in options)
        self.descriptors.append(above(_file("options", text), floor))
        self.argv = [plan.bubblewrap, "--args", str(self.descriptors[-1]), "--", *plan.argv]

    def close(self) -> None:
        """Close the other side's ends, in the keeper."""
        for descriptor in self.descriptors:
            os.close(descriptor)


def _file(name: str, content: bytes) -> int:
    descriptor = os.memfd_create(f"stellatune-sidecar-{name}", os.MFD_CLOEXEC)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def become(
    plan: Plan, parent: int, streams: Sequence[int], extra: Sequence[int], crowd: Crowd, doors: Doors | None
) -> NoReturn:
    """Turn this process, fresh from a fork, into the sidecar.

    Args:
        plan: what was decided.
        parent: the keeper; this process dies with it.
        streams: what becomes descriptors 0, 1 and 2.
        extra: what becomes the numbers that the plan names.
        crowd: the limit on processes.
        doors: for a bubblewrap.

    Raises:
        OSError: a step failed; the process must end.
    """
    os.setsid()
    _own_signals()
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel was told
        os._exit(1)
    os.umask(0o077)
    crowd.enter()
    _place([*streams, *extra], [0, 1, 2, *plan.numbers], doors)
    with contextlib.suppress(OSError):
        _write_score()
    if doors is None:
        os.chdir(plan.folder)
    _limit(plan.limits)
    if plan.tier == "bubblewrap":
        assert doors is not None  # noqa: S101 - for the type
        if plan.scoped:
            prctl(PR_SET_NO_NEW_PRIVS, 1)
            landlock.restrict_scope()
        os.execve(doors.argv[0], doors.argv, {"LC_ALL": "C.UTF-8"})  # noqa: S606 - no shell is wanted
    if plan.tier == "landlock":
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        landlock.restrict_files(plan.rules, network=plan.network)
        drop_capabilities()
        seccomp.install(seccomp.program(network=plan.network, namespaces=False, unix_sockets=plan.unix_sockets))
    elif plan.tier == "none":
        prctl(PR_SET_NO_NEW_PRIVS, 1)
    else:
        raise ValueError(f"no tier is called {plan.tier}")
    os.execve(plan.argv[0], plan.argv, plan.env)  # noqa: S606 - likewise


def _own_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _write_score() -> None:
    """Be the first to go when memory runs out, which everybody may ask for."""
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:  # noqa: PTH123 - no pathlib here
        score.write("500")


def floor_of(plan: Plan) -> int:
    """The least number that no descriptor of the sidecar has."""
    return max((*plan.numbers, 2)) + 1


def above(descriptor: int, floor: int) -> int:
    """The descriptor under a number of at least ``floor``, out of the way of the sidecar's own."""
    if descriptor >= floor:
        return descriptor
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, floor)
    os.close(descriptor)
    return moved


def _place(inherited: Sequence[int], numbers: Sequence[int], doors: Doors | None) -> None:
    """Give the descriptors their numbers; whatever else is open closes when the program starts."""
    for number, descriptor in zip(numbers, inherited, strict=True):
        os.dup2(descriptor, number, inheritable=True)
    for descriptor in doors.descriptors if doors else ():
        os.set_inheritable(descriptor, True)


def _limit(limits: Limits) -> None:
    for name, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, limits.memory),
        (resource.RLIMIT_NOFILE, limits.files),
        (resource.RLIMIT_MEMLOCK, 8 << 20),
    ):
        if value is not None:
            hard = resource.getrlimit(name)[1]
            lower = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(name, (lower, lower))


def last_words(error: BaseException) -> bytes:
    """The error for the keeper, in one line."""
    step = sys.exc_info()[2]
    where = ""
    while step is not None:
        where, step = step.tb_frame.f_code.co_name, step.tb_next
    return f"{where}: {error}".encode(errors="replace")[:2000]
