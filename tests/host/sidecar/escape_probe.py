"""Tries to get out of the sandbox that it runs in, and prints how far each attempt came, as JSON.

Runs as a sidecar, with the standard library alone. An attempt is a function that returns where it succeeded and raises
``OSError`` where it was stopped. Its argument is what the test outside has laid out for it.
"""

# ruff: noqa: D103 - the names of the attempts say it

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import mmap
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

Goal = dict[str, Any]
Attempt = Callable[[Goal], Any]
ATTEMPTS: dict[str, Attempt] = {}
OUTSIDE: dict[str, str] = {}
"""Who can do it without a sandbox: everybody, root, or whoever has the kernel or machine for it."""

_libc = ctypes.CDLL(None, use_errno=True)
ARM = os.uname().machine == "aarch64"


class Stopped(OSError):
    """It did not work, though no call failed."""


def attempt(outside: str = "everybody") -> Callable[[Attempt], Attempt]:
    """Register an attempt."""

    def register(function: Attempt) -> Attempt:
        ATTEMPTS[function.__name__] = function
        OUTSIDE[function.__name__] = outside
        return function

    return register


def syscall(x86: int, arm: int, *arguments: Any) -> int:
    """One raw system call."""
    whole = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result = int(_libc.syscall(ctypes.c_long(arm if ARM else x86), *whole))
    if result < 0:
        raise OSError(ctypes.get_errno(), "syscall")
    return result


def reached(x86: int, arm: int, *arguments: Any, fails: int) -> None:
    """A call that would do harm if its arguments were right: it was let through where it fails for those alone."""
    try:
        syscall(x86, arm, *arguments)
    except OSError as error:
        if error.errno != fails:
            raise


def read(path: str) -> bytes:
    """A file's beginning."""
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read(64)


def open_for_writing(path: str) -> None:
    """Writes nothing."""
    os.close(os.open(path, os.O_WRONLY))


# --- leaks, before anything else is open ------------------------------------------------------------------------------


@attempt()
def inherit_files(goal: Goal) -> Any:
    found = []
    for number in range(3, 1024):
        try:
            fcntl.fcntl(number, fcntl.F_GETFD)
        except OSError:
            continue
        found.append(number)
    if not found:
        raise Stopped
    return found


@attempt()
def inherit_variables(goal: Goal) -> Any:
    if not any("SECRET" in name for name in os.environ):
        raise Stopped


# --- files ------------------------------------------------------------------------------------------------------------


@attempt()
def read_a_file_outside(goal: Goal) -> Any:
    return read(goal["secret"])


@attempt()
def read_a_file_outside_through_dots(goal: Goal) -> Any:
    return read(f"{os.getcwd()}/../{os.path.basename(goal['outside'])}/secret")  # noqa: PTH109, PTH119


@attempt()
def read_a_file_outside_through_a_link(goal: Goal) -> Any:
    os.symlink(goal["secret"], "link")  # noqa: PTH211
    return read("link")


@attempt()
def hard_link_a_file_outside(goal: Goal) -> Any:
    os.link(goal["secret"], "hard")
    return read("hard")


@attempt()
def list_a_folder_outside(goal: Goal) -> Any:
    return os.listdir(goal["outside"])  # noqa: PTH208


@attempt()
def write_a_file_outside(goal: Goal) -> Any:
    open_for_writing(goal["secret"])


@attempt()
def make_a_file_outside(goal: Goal) -> Any:
    os.close(os.open(f"{goal['outside']}/made", os.O_CREAT | os.O_WRONLY))


@attempt()
def make_a_folder_outside(goal: Goal) -> Any:
    os.mkdir(f"{goal['outside']}/folder")  # noqa: PTH102


@attempt()
def make_a_socket_outside(goal: Goal) -> Any:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{goal['outside']}/socket")


@attempt()
def make_a_fifo_outside(goal: Goal) -> Any:
    os.mkfifo(f"{goal['outside']}/fifo")


@attempt()
def remove_a_file_outside(goal: Goal) -> Any:
    os.unlink(f"{goal['outside']}/doomed")  # noqa: PTH108


@attempt()
def move_a_file_outside_in(goal: Goal) -> Any:
    os.rename(f"{goal['outside']}/movable", "moved")  # noqa: PTH104


@attempt()
def move_a_file_out(goal: Goal) -> Any:
    os.close(os.open("mine", os.O_CREAT | os.O_WRONLY))
    os.rename("mine", f"{goal['outside']}/mine")  # noqa: PTH104


@attempt()
def truncate_a_file_outside(goal: Goal) -> Any:
    os.truncate(f"{goal['outside']}/truncated", 0)


@attempt()
def change_a_mode_outside(goal: Goal) -> Any:
    os.chmod(goal["secret"], 0o644)  # noqa: PTH101


@attempt()
def change_an_owner_outside(goal: Goal) -> Any:
    os.chown(goal["secret"], os.getuid(), -1)


@attempt()
def change_times_outside(goal: Goal) -> Any:
    os.utime(goal["secret"], (1, 1))


@attempt("machine")
def change_attributes_outside(goal: Goal) -> Any:
    os.setxattr(goal["secret"], "user.probe", b"x")


@attempt()
def watch_a_folder_outside(goal: Goal) -> Any:
    descriptor = _libc.inotify_init()
    if _libc.inotify_add_watch(descriptor, goal["outside"].encode(), 0xFFF) < 0:
        raise OSError(ctypes.get_errno(), "inotify")


@attempt()
def run_a_program_outside(goal: Goal) -> Any:
    subprocess.run([f"{goal['outside']}/program"], check=True, capture_output=True)


@attempt()
def change_the_package(goal: Goal) -> Any:
    open_for_writing(sys.argv[0])


@attempt()
def add_to_the_package(goal: Goal) -> Any:
    os.close(os.open(f"{goal['package']}/bin/added.py", os.O_CREAT | os.O_WRONLY))


@attempt()
def read_another_plugins_data(goal: Goal) -> Any:
    return read(goal["other_data"])


@attempt()
def read_the_grants(goal: Goal) -> Any:
    return read(goal["grants"])


@attempt("root")
def read_the_passwords(goal: Goal) -> Any:
    return read("/etc/shadow")


@attempt("root")
def write_settings(goal: Goal) -> Any:
    os.close(os.open("/etc/stellatune-probe", os.O_CREAT | os.O_WRONLY))
    os.unlink("/etc/stellatune-probe")  # noqa: PTH108


@attempt("root")
def write_programs(goal: Goal) -> Any:
    os.close(os.open("/usr/bin/stellatune-probe", os.O_CREAT | os.O_WRONLY))
    os.unlink("/usr/bin/stellatune-probe")  # noqa: PTH108


@attempt("machine")
def write_this_interpreter(goal: Goal) -> Any:
    open_for_writing(goal["library"])


# --- other processes --------------------------------------------------------------------------------------------------


@attempt()
def read_the_hosts_environment(goal: Goal) -> Any:
    return read(f"/proc/{goal['host']}/environ")


@attempt()
def read_the_hosts_arguments(goal: Goal) -> Any:
    return read(f"/proc/{goal['host']}/cmdline")


@attempt()
def read_the_hosts_memory(goal: Goal) -> Any:
    return read(f"/proc/{goal['host']}/maps")


@attempt()
def list_the_hosts_files(goal: Goal) -> Any:
    return os.listdir(f"/proc/{goal['host']}/fd")  # noqa: PTH208


@attempt()
def go_through_the_hosts_root(goal: Goal) -> Any:
    return read(f"/proc/{goal['host']}/root{goal['secret']}")


@attempt()
def go_through_the_parents_root(goal: Goal) -> Any:
    return read(f"/proc/{os.getppid()}/root{goal['secret']}")


@attempt()
def go_through_ones_own_root(goal: Goal) -> Any:
    return read(f"/proc/self/root{goal['secret']}")


@attempt()
def kill_a_process(goal: Goal) -> Any:
    os.kill(goal["victims"][0], signal.SIGKILL)


@attempt()
def kill_a_group(goal: Goal) -> Any:
    os.killpg(goal["victims"][1], signal.SIGKILL)


@attempt()
def kill_by_descriptor(goal: Goal) -> Any:
    signal.pidfd_send_signal(os.pidfd_open(goal["victims"][2]), signal.SIGKILL)


@attempt()
def kill_a_thread(goal: Goal) -> Any:
    victim = goal["victims"][3]
    syscall(234, 131, victim, victim, signal.SIGKILL)


@attempt()
def signal_by_a_pipes_owner(goal: Goal) -> Any:
    """The kernel sends it in our name."""
    reads, writes = os.pipe()
    fcntl.fcntl(reads, fcntl.F_SETSIG, signal.SIGTERM)
    fcntl.fcntl(reads, fcntl.F_SETOWN, goal["victims"][4])
    fcntl.fcntl(reads, fcntl.F_SETFL, os.O_ASYNC)
    os.write(writes, b"x")
    raise Deferred


class Deferred(Exception):
    """Whether it worked can only be seen outside."""


@attempt("root")
def trace_a_process(goal: Goal) -> Any:
    syscall(101, 117, 16, goal["victims"][5], 0, 0)  # PTRACE_ATTACH


@attempt("root")
def read_a_processes_memory(goal: Goal) -> Any:
    ours = ctypes.create_string_buffer(8)
    local = struct.pack("=QQ", ctypes.addressof(ours), 8)
    remote = struct.pack("=QQ", 8, 8)  # where nothing is: whether it may is decided before
    reached(310, 270, goal["victims"][5], local, 1, remote, 1, 0, fails=errno.EFAULT)


@attempt("root")
def take_a_processes_file(goal: Goal) -> Any:
    return syscall(438, 438, os.pidfd_open(goal["victims"][5]), 0, 0)


@attempt()
def lower_a_processes_limits(goal: Goal) -> Any:
    resource.prlimit(goal["victims"][6], resource.RLIMIT_NOFILE, (3, 3))


@attempt()
def lower_a_processes_priority(goal: Goal) -> Any:
    os.setpriority(os.PRIO_PROCESS, goal["victims"][6], 19)


@attempt()
def bind_a_process_to_a_processor(goal: Goal) -> Any:
    os.sched_setaffinity(goal["victims"][6], {min(os.sched_getaffinity(0))})


@attempt()
def change_a_processes_scheduling(goal: Goal) -> Any:
    os.sched_setscheduler(goal["victims"][6], os.SCHED_IDLE, os.sched_param(0))


@attempt()
def change_a_processes_disk_priority(goal: Goal) -> Any:
    syscall(251, 30, 1, goal["victims"][6], 3 << 13)  # IOPRIO_WHO_PROCESS, idle


# --- network and sockets ----------------------------------------------------------------------------------------------


@attempt()
def connect_to_loopback(goal: Goal) -> Any:
    socket.create_connection(("127.0.0.1", goal["tcp"]), 2).close()


@attempt("machine")
def connect_to_loopback_by_ipv6(goal: Goal) -> Any:
    socket.create_connection(("::1", goal["tcp6"]), 2).close()


@attempt()
def send_a_datagram(goal: Goal) -> Any:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"probe", ("127.0.0.1", goal["udp"]))


@attempt()
def listen_where_others_connect(goal: Goal) -> Any:
    with socket.create_server(("127.0.0.1", goal["free"])):
        pass


@attempt("root")
def open_a_raw_socket(goal: Goal) -> Any:
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()


@attempt("root")
def open_a_packet_socket(goal: Goal) -> Any:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()


@attempt()
def ask_for_network_interfaces(goal: Goal) -> Any:
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close()


@attempt("machine")
def talk_to_the_hypervisor(goal: Goal) -> Any:
    socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()


@attempt("machine")
def use_the_kernels_crypto(goal: Goal) -> Any:
    socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET).close()


@attempt()
def connect_to_a_unix_socket(goal: Goal) -> Any:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(goal["stream"])


@attempt()
def send_to_a_unix_socket(goal: Goal) -> Any:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.sendto(b"probe", goal["datagram"])


@attempt()
def point_a_pair_elsewhere(goal: Goal) -> Any:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other:
        one.connect(goal["datagram"])


@attempt()
def send_from_a_pair_elsewhere(goal: Goal) -> Any:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other:
        one.sendmsg([b"probe"], [], 0, goal["datagram"])


@attempt()
def send_from_a_raw_pair_elsewhere(goal: Goal) -> Any:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_RAW)  # datagrams by another name
    with one, other:
        one.sendmsg([b"probe"], [], 0, goal["datagram"])


@attempt("machine")
def send_from_a_stream_pair_elsewhere(goal: Goal) -> Any:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with one, other:
        one.connect(goal["datagram"])


@attempt()
def connect_to_an_abstract_socket(goal: Goal) -> Any:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect("\0" + goal["abstract"])


@attempt()
def send_to_an_abstract_socket(goal: Goal) -> Any:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.sendto(b"probe", "\0" + goal["abstract"] + "-datagram")


@attempt()
def find_shared_memory(goal: Goal) -> Any:
    return syscall(29, 194, goal["shm_key"], 0, 0)


@attempt()
def find_named_memory(goal: Goal) -> Any:
    return read(f"/dev/shm/{goal['abstract']}")  # noqa: S108


@attempt("machine")
def find_a_message_queue(goal: Goal) -> Any:
    return syscall(240, 180, goal["abstract"].encode(), os.O_RDONLY, 0, None)


# --- the kernel -------------------------------------------------------------------------------------------------------


@attempt("root")
def mount_a_file_system(goal: Goal) -> Any:
    if _libc.mount(b"none", os.getcwdb(), b"tmpfs", 0, None) != 0:  # noqa: PTH109
        raise OSError(ctypes.get_errno(), "mount")
    _libc.umount2(os.getcwdb(), 2)  # noqa: PTH109


@attempt("root")
def change_the_root(goal: Goal) -> Any:
    child = os.fork()
    if child == 0:
        try:
            os.chroot(".")
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        raise OSError(code, "chroot")


@attempt("machine")
def open_a_mount_tree(goal: Goal) -> Any:
    return syscall(428, 428, -100, b"/", 1)  # OPEN_TREE_CLONE


@attempt("root")
def open_a_new_file_system(goal: Goal) -> Any:
    return syscall(430, 430, b"tmpfs", 0)


@attempt("machine")
def make_a_user_namespace(goal: Goal) -> Any:
    in_child(lambda: syscall(272, 97, 0x10000000))


@attempt("root")
def make_a_mount_namespace(goal: Goal) -> Any:
    in_child(lambda: syscall(272, 97, 0x00020000))


@attempt("root")
def enter_the_hosts_namespaces(goal: Goal) -> Any:
    descriptor = os.open(f"/proc/{goal['host']}/ns/uts", os.O_RDONLY)
    syscall(308, 268, descriptor, 0)


@attempt("root")
def enter_a_processes_namespaces(goal: Goal) -> Any:
    syscall(308, 268, os.pidfd_open(goal["victims"][6]), 0x04000000)


@attempt("machine")
def clone_into_a_user_namespace(goal: Goal) -> Any:
    child = syscall(56, 220, ctypes.c_ulong(0x10000000 | signal.SIGCHLD), None, None, None, None)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


@attempt("machine")
def clone_by_the_new_call(goal: Goal) -> Any:
    """Its flags are in memory, where no filter can look."""
    arguments = struct.pack("=QQQQQQQQ", 0x10000000, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
    child = syscall(435, 435, arguments, ctypes.c_size_t(len(arguments)))
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


@attempt("root")
def open_by_a_handle(goal: Goal) -> Any:
    handle = ctypes.create_string_buffer(struct.pack("=Ii", 128, 0) + bytes(128))
    mount = ctypes.c_int()
    syscall(303, 264, -100, goal["secret"].encode(), handle, ctypes.byref(mount), 0)
    folder = os.open(goal["outside"], os.O_RDONLY)
    return syscall(304, 265, folder, handle, os.O_RDONLY)


@attempt("root")
def become_another_user(goal: Goal) -> Any:
    in_child(lambda: os.setuid(12345))


@attempt("root")
def have_capabilities(goal: Goal) -> Any:
    header = struct.pack("=Ii", 0x20080522, 0)
    data = ctypes.create_string_buffer(24)
    syscall(125, 90, header, data)
    if not any(data.raw):
        raise Stopped


@attempt("root")
def gain_capabilities_by_a_program(goal: Goal) -> Any:
    """A set-user-id program, which the test has put beside this one."""
    said = subprocess.run([goal["setuid"], "-u"], check=False, capture_output=True, text=True).stdout
    if said.strip() != "12345":
        raise Stopped(errno.EPERM, said)


@attempt("root")
def make_a_device(goal: Goal) -> Any:
    os.mknod("device", 0o600 | 0o020000, os.makedev(1, 3))


@attempt("root")
def read_the_kernels_log(goal: Goal) -> Any:
    syscall(103, 116, 10, None, 0)


@attempt("root")
def open_the_kernels_log(goal: Goal) -> Any:
    os.close(os.open("/dev/kmsg", os.O_RDONLY))


@attempt("machine")
def open_a_disk(goal: Goal) -> Any:
    os.close(os.open(goal["disk"], os.O_RDONLY))


@attempt("machine")
def open_the_terminal(goal: Goal) -> Any:
    os.close(os.open("/dev/tty", os.O_RDWR))


@attempt()
def type_into_a_terminal(goal: Goal) -> Any:
    ioctl_lets_through(0x5412)


@attempt()
def steer_the_console(goal: Goal) -> Any:
    ioctl_lets_through(0x541C)


@attempt("root")
def write_kernel_settings(goal: Goal) -> Any:
    open_for_writing("/proc/sys/kernel/core_pattern")


@attempt("root")
def write_anything_of_the_kernels(goal: Goal) -> Any:
    """Whoever owns root's files could, unless they are covered."""
    found = []
    for top in ("/proc", "/sys"):
        for folder, folders, files in os.walk(top):
            folders[:] = [name for name in folders if not name.isdigit() and name not in {"self", "thread-self"}]
            for name in files:
                path = f"{folder}/{name}"
                try:
                    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
                except OSError:
                    continue
                found.append(path)
    if not found:
        raise Stopped(errno.EPERM, "nothing")
    return found[:20]


@attempt("machine")
def press_magic_keys(goal: Goal) -> Any:
    open_for_writing("/proc/sysrq-trigger")


@attempt("machine")
def write_device_settings(goal: Goal) -> Any:
    open_for_writing("/sys/kernel/mm/transparent_hugepage/enabled")


@attempt("machine")
def leave_the_control_group(goal: Goal) -> Any:
    with open(goal["cgroup"], "w") as file:  # noqa: PTH123
        file.write("0")


@attempt("machine")
def keep_a_key(goal: Goal) -> Any:
    return syscall(248, 217, b"user", b"probe", b"x", 1, -3)


@attempt("machine")
def search_the_users_keys(goal: Goal) -> Any:
    reached(250, 219, 10, -4, b"user", b"probe-that-is-not-there", 0, fails=errno.ENOKEY)


@attempt("machine")
def load_a_kernel_program(goal: Goal) -> Any:
    return syscall(321, 280, 0, struct.pack("=IIIIQ", 1, 4, 4, 1, 0) + bytes(100), 72)


@attempt("machine")
def count_events(goal: Goal) -> Any:
    return syscall(298, 241, struct.pack("=IIQ", 1, 112, 0) + bytes(96), 0, -1, -1, 0)


@attempt("machine")
def handle_page_faults(goal: Goal) -> Any:
    return syscall(323, 282, 0)


@attempt("machine")
def queue_calls(goal: Goal) -> Any:
    """io_uring opens sockets past a system call filter."""
    return syscall(425, 425, 2, ctypes.create_string_buffer(120))


@attempt("root")
def restart_the_machine(goal: Goal) -> Any:
    reached(169, 142, 0, 0, 0, None, fails=errno.EINVAL)


@attempt("machine")
def load_a_module(goal: Goal) -> Any:
    reached(313, 273, -1, b"", 0, fails=errno.EBADF)


@attempt("root")
def swap_to_a_file(goal: Goal) -> Any:
    reached(167, 224, b"/nonexistent", 0, fails=errno.ENOENT)


@attempt("root")
def set_the_clock(goal: Goal) -> Any:
    reached(227, 112, 0, struct.pack("=qq", -1, -1), fails=errno.EINVAL)


@attempt("root")
def rename_the_machine(goal: Goal) -> Any:
    name = goal["hostname"].encode()
    if os.uname().nodename != goal["hostname"]:
        raise Stopped
    syscall(170, 161, name, len(name))


@attempt()
def change_the_personality(goal: Goal) -> Any:
    return syscall(135, 92, 0xFFFFFFFF)


# --- limits -----------------------------------------------------------------------------------------------------------


@attempt()
def take_much_memory(goal: Goal) -> Any:
    mmap.mmap(-1, goal["memory"]).close()


@attempt()
def open_many_files(goal: Goal) -> Any:
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(goal["files"])]
    for descriptor in held:
        os.close(descriptor)


@attempt()
def start_many_processes(goal: Goal) -> Any:
    children = []
    try:
        for _ in range(goal["processes"]):
            child = os.fork()
            if child == 0:
                time.sleep(30)
                os._exit(0)
            children.append(child)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)


@attempt()
def start_many_threads(goal: Goal) -> Any:
    threading.stack_size(65536)
    end = threading.Event()
    threads = []
    try:
        for _ in range(goal["processes"]):
            thread = threading.Thread(target=end.wait, daemon=True)
            thread.start()
            threads.append(thread)
    except RuntimeError as error:
        raise Stopped(errno.EAGAIN, str(error)) from error
    finally:
        end.set()
        for thread in threads:
            thread.join()


@attempt("machine")
def raise_a_limit(goal: Goal) -> Any:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, hard - 1), hard - 1))
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, hard - 1), hard))
    except ValueError as error:
        raise Stopped(errno.EPERM, str(error)) from error


def in_child(function: Callable[[], object]) -> None:
    """Try it in a process of its own, which may be a different one afterwards."""
    child = os.fork()
    if child == 0:
        try:
            function()
        except OSError as error:
            os._exit(error.errno or 1)
        except BaseException:  # noqa: BLE001
            os._exit(255)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        raise OSError(code, "in a child")


def ioctl_lets_through(number: int) -> None:
    """Stdin is no terminal, so a call that is let through fails for that reason."""
    try:
        fcntl.ioctl(0, number, b"x")
    except OSError as error:
        if error.errno not in {errno.ENOTTY, errno.EINVAL}:
            raise


def main() -> None:
    goal: Goal = json.loads(sys.argv[1])
    found = {}
    for name, function in ATTEMPTS.items():
        try:
            found[name] = f"escaped: {function(goal)!r}"
        except Deferred:
            found[name] = "deferred"
        except OSError as error:
            found[name] = f"stopped: {errno.errorcode.get(error.errno or 0, 'no effect')}"
        except BaseException as error:  # noqa: BLE001 - a broken attempt proves nothing
            found[name] = f"broken: {error!r}"
        sys.stdout.flush()
    print(json.dumps({"found": found, "outside": OUTSIDE}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
