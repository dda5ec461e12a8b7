"""A system call filter, assembled by hand: what a helper program of a music player has no business with.

The rest of the sandbox decides over files and networks; this takes away the doors around it. A refused call fails with
``EPERM``, or with ``ENOSYS`` where programs then take an older one that can be judged by its arguments. A foreign
architecture's calls end the process.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from typing import Final, NamedTuple

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_AT_LEAST: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_ANY_BIT: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_AND: Final = 0x54  # BPF_ALU | BPF_AND | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K

_ALLOW: Final = 0x7FFF0000
_KILL: Final = 0x80000000
_ERROR: Final = 0x00050000
_NUMBER: Final = 0
_ARCHITECTURE: Final = 4
_ARGUMENTS: Final = 16

_X32_BIT: Final = 0x40000000
_CLONE_NEW_ANY: Final = 0x7E020000  # every CLONE_NEW* flag that clone knows: mount, cgroup, uts, ipc, user, pid, net
_TTY_IOCTLS: Final = (0x5412, 0x541C, 0x541D, 0x540E)  # TIOCSTI, TIOCLINUX, TIOCCONS, TIOCSCTTY
_AF_UNIX: Final = 1
_NETWORK_FAMILIES: Final = (2, 10, 16)  # IPv4, IPv6, and netlink, which name look-ups ask for interfaces
_SOCK_TYPES: Final = 0xF
_PAIRS: Final = (1, 5)  # SOCK_STREAM, SOCK_SEQPACKET

_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2


class _Machine(NamedTuple):
    architecture: int
    column: int


_MACHINES: Final = {"x86_64": _Machine(0xC000003E, 0), "aarch64": _Machine(0xC00000B7, 1)}

# Numbers on x86-64 and on arm64; None where the call does not exist.
_NUMBERS: Final[dict[str, tuple[int | None, int | None]]] = {
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "socketpair": (53, 199),
    "clone": (56, 220),
    "clone3": (435, 435),
    "ioctl": (16, 29),
    "prlimit64": (302, 261),
    "setpriority": (141, 140),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
    "ioprio_set": (251, 30),
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # namespaces, mounts, roots
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    # large and often broken kernel interfaces
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "fanotify_init": (300, 262),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "modify_ldt": (154, None),
    "personality": (135, 92),
    "vhangup": (153, 58),
    # the machine
    "reboot": (169, 142),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "syslog": (103, 116),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "iopl": (172, None),
    "ioperm": (173, None),
    # what Landlock does not judge, and namespaces would: owners and modes of files anywhere, IPC, watching files
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
    "inotify_add_watch": (254, 27),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "semop": (65, 193),
    "semctl": (66, 191),
    "semtimedop": (220, 192),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
}
_JUDGED: Final = (
    "socket",
    "connect",
    "bind",
    "socketpair",
    "clone",
    "clone3",
    "ioctl",
    "prlimit64",
    "setpriority",
    "sched_setparam",
    "sched_setscheduler",
    "sched_setaffinity",
    "sched_setattr",
    "ioprio_set",
)
_NO_NAMESPACES_FROM: Final = "chmod"
"""This one and those after it are refused only where no namespaces keep the process to itself."""


def supported() -> bool:
    """Whether this machine's system call numbers are known."""
    return platform.machine() in _MACHINES


def program(*, network: bool, namespaces: bool, unix_sockets: bool) -> bytes:
    """The filter as the kernel takes it, an array of ``struct sock_filter``.

    Args:
        network: internet sockets are allowed.
        namespaces: the process has file system, IPC and process namespaces of its own.
        unix_sockets: it may make Unix sockets, and not just pairs that lead nowhere else.

    Raises:
        KeyError: a machine of an unknown kind.
    """
    return _Assembly(_MACHINES[platform.machine()]).build(
        network=network, namespaces=namespaces, unix_sockets=unix_sockets
    )


def install(code: bytes) -> None:
    """Filter this process from now on, and all that it starts. ``PR_SET_NO_NEW_PRIVS`` must be set.

    Raises:
        OSError: the kernel refuses.
    """
    buffer = ctypes.create_string_buffer(code, len(code))
    fprog = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, fprog, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the system call filter was refused")


class _Assembly:
    """Instructions in order; every judged call is a block of its own that ends in a verdict."""

    def __init__(self, machine: _Machine) -> None:
        self._machine = machine
        self._code: list[tuple[int, int, int, int]] = []

    def build(self, *, network: bool, namespaces: bool, unix_sockets: bool) -> bytes:
        self._head()
        for name in self._refused(namespaces=namespaces):
            self._call(name, [_errno(errno.EPERM)])
        self._call("clone3", [_errno(errno.ENOSYS)])
        self._call("clone", [_argument(0), (_ANY_BIT, 0, 1, _CLONE_NEW_ANY), _errno(errno.EPERM), _allow()])
        self._call("ioctl", _one_of(1, _TTY_IOCTLS, found=_errno(errno.EPERM), other=_allow()))
        # Starting a thread with a policy of its own, as sound libraries do, names the new thread. In a process
        # namespace nobody else's can be named.
        schedule = () if namespaces else ("sched_setparam", "sched_setscheduler", "sched_setattr")
        for name in ("prlimit64", "sched_setaffinity", *schedule):
            self._call(name, _one_of(0, (0,), found=_allow(), other=_errno(errno.EPERM)))  # 0: itself
        for name, everybody in (("setpriority", 2), ("ioprio_set", 3)):  # 2 and 3: all processes of a user
            own = _one_of(1, (0,), found=_allow(), other=_errno(errno.EPERM))
            self._call(name, [_argument(0), (_EQUAL, 0, 1, everybody), _errno(errno.EPERM), *own])
        self._sockets(network=network, unix_sockets=unix_sockets)
        self._code.append(_allow())
        return b"".join(struct.pack("=HBBI", *instruction) for instruction in self._code)

    def _head(self) -> None:
        self._code += [
            (_LOAD, 0, 0, _ARCHITECTURE),
            (_EQUAL, 1, 0, self._machine.architecture),
            (_RETURN, 0, 0, _KILL),
            (_LOAD, 0, 0, _NUMBER),
            (_AT_LEAST, 0, 1, _X32_BIT),
            _errno(errno.ENOSYS),
        ]

    @staticmethod
    def _refused(*, namespaces: bool) -> list[str]:
        names = [name for name in _NUMBERS if name not in _JUDGED]
        return names[: names.index(_NO_NAMESPACES_FROM)] if namespaces else names

    def _sockets(self, *, network: bool, unix_sockets: bool) -> None:
        families = (*((_AF_UNIX,) if unix_sockets else ()), *(_NETWORK_FAMILIES if network else ()))
        self._call("socket", _one_of(0, families, found=_allow(), other=_errno(errno.EPERM)))
        if not unix_sockets:
            # A connected pair is harmless, unless its ends can be pointed elsewhere as those of datagrams can, which
            # the raw ones of Unix sockets are as well.
            load, *tests = _one_of(1, _PAIRS, found=_allow(), other=_errno(errno.EPERM))
            self._call("socketpair", [load, (_AND, 0, 0, _SOCK_TYPES), *tests])
            if not network:
                for name in ("connect", "bind"):
                    self._call(name, [_errno(errno.EPERM)])

    def _call(self, name: str, block: list[tuple[int, int, int, int]]) -> None:
        """Judge one system call; every path through the block returns."""
        number = _NUMBERS[name][self._machine.column]
        if number is not None:
            self._code += [(_EQUAL, 0, len(block), number), *block]


def _errno(number: int) -> tuple[int, int, int, int]:
    return _RETURN, 0, 0, _ERROR | number


def _allow() -> tuple[int, int, int, int]:
    return _RETURN, 0, 0, _ALLOW


def _argument(index: int) -> tuple[int, int, int, int]:
    """Load the lower half of an argument; both machines are little-endian, and these arguments are ``int``."""
    return _LOAD, 0, 0, _ARGUMENTS + 8 * index


def _one_of(
    index: int, values: tuple[int, ...], *, found: tuple[int, int, int, int], other: tuple[int, int, int, int]
) -> list[tuple[int, int, int, int]]:
    tests = [(_EQUAL, len(values) - i, 0, value) for i, value in enumerate(values)]
    return [_argument(index), *tests, other, found]
