"""What ``stellatune doctor`` looks at: one function a matter, each gives findings and never raises."""

from __future__ import annotations

import enum
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import ssl
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator

import msgspec

from stellatune_plugins import __version__
from stellatune_plugins.cli.text import printable, size
from stellatune_plugins.cli.workbench import Workbench
from stellatune_plugins.errors import StellatuneError
from stellatune_plugins.host.sidecar.memory import FailureMemory
from stellatune_plugins.host.sidecar.sandbox import detect

LEAST_FREE_BYTES = 256 * 1024 * 1024


class Grade(enum.StrEnum):
    """How a finding counts."""

    OK = "ok"
    NOTE = "note"
    """Something optional is missing."""
    FAILED = "failed"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    check: str
    grade: Grade
    text: str
    hint: str | None = None


Check = Callable[[Workbench], Iterator[Finding]]


def python(_: Workbench) -> Iterator[Finding]:
    """The interpreter and this package."""
    version = platform.python_version()
    text = f"stellatune {__version__} on {platform.python_implementation()} {version}, {platform.platform()}"
    new_enough = sys.version_info >= (3, 11)
    yield Finding(
        check="python",
        grade=Grade.OK if new_enough else Grade.FAILED,
        text=text,
        hint=None if new_enough else "install Python 3.11 or newer",
    )


def extras(_: Workbench) -> Iterator[Finding]:
    """Python packages that only some commands need."""
    audio = dict.fromkeys(("av", "mutagen", "soundfile", "soxr"), "audio")
    wanted = audio | {"miniaudio": "device", "matplotlib": "plot", "watchfiles": "watch"}
    for name, extra in wanted.items():
        if importlib.util.find_spec(name) is None:
            yield Finding(
                check="extras",
                grade=Grade.NOTE,
                text=f"{name} is not installed",
                hint=f"install stellatune-plugins[{extra}]",
            )
    there = [f"{name} {importlib.metadata.version(name)}" for name in wanted if importlib.util.find_spec(name)]
    yield Finding(check="extras", grade=Grade.OK, text=", ".join(there) or "none")


def home(bench: Workbench) -> Iterator[Finding]:
    """The home can be written, by this user alone, and has room."""
    root = bench.home.root
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root) as probe:
            probe.write(b"probe")
        status = root.stat()
    except OSError as error:
        text = f"{root} cannot be written: {error.strerror}"
        yield Finding(check="home", grade=Grade.FAILED, text=text, hint="name another with --home or STELLATUNE_HOME")
        return
    free = shutil.disk_usage(root).free
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        text = f"{root} can be written by others (mode {stat.S_IMODE(status.st_mode):03o})"
        yield Finding(check="home", grade=Grade.FAILED, text=text, hint=f"chmod go-w {root}")
    elif hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        yield Finding(
            check="home",
            grade=Grade.FAILED,
            text=f"{root} belongs to user {status.st_uid}",
            hint="name another with --home or STELLATUNE_HOME",
        )
    else:
        yield Finding(check="home", grade=Grade.OK, text=f"{root}, writable, {size(free)} free")
    if free < LEAST_FREE_BYTES:
        yield Finding(check="home", grade=Grade.NOTE, text=f"only {size(free)} are free", hint="make room on that disk")


def engine(bench: Workbench) -> Iterator[Finding]:
    """Wasmtime is the pinned one, and compiles, caches and runs a module."""
    version = importlib.metadata.version("wasmtime")
    pins = [r for r in importlib.metadata.requires("stellatune-plugins") or [] if r.startswith("wasmtime")]
    if pins and pins[0] != f"wasmtime=={version}":
        text = (
            f"wasmtime {version} is installed, but {pins[0]} is needed: the call path depends on its binary interface"
        )
        yield Finding(check="engine", grade=Grade.FAILED, text=text, hint=f"pip install {pins[0]}")
        return
    stats = bench.runtime.code.stats()
    yield Finding(check="engine", grade=Grade.OK, text=f"wasmtime {version} loads")
    folder = bench.home.code_cache
    text = f"{stats.entries} pieces of compiled code, {size(stats.bytes)}, in {folder}"
    yield Finding(check="cache", grade=Grade.OK, text=text)
    if folder.exists():
        mode = stat.S_IMODE(folder.stat().st_mode)
        if mode != 0o700:
            yield Finding(
                check="cache", grade=Grade.FAILED, text=f"{folder} has mode {mode:03o}", hint=f"chmod 700 {folder}"
            )


def packages(bench: Workbench) -> Iterator[Finding]:
    """Every installed plugin is as installed, compiles, keeps to its world, and can be enabled."""
    scan = bench.store.scan()
    for plugin in scan.installed:
        name = f"{plugin.id} {printable(plugin.version)}"
        before = bench.runtime.code.stats()
        try:
            problems = bench.store.verify(plugin.id)
            if problems:
                text = f"{name}: {len(problems)} files differ from what was installed, such as {problems[0].path}"
                yield Finding(check="plugins", grade=Grade.FAILED, text=text, hint="install it again")
                continue
            seconds = bench.runtime.enable(plugin).seconds
            bench.runtime.disable(plugin.id)
        except StellatuneError as error:
            text = f"{name}: {error.code}: {printable(error.message)}"
            yield Finding(check="plugins", grade=Grade.FAILED, text=text, hint=error.hint)
        else:
            stats = bench.runtime.code.stats()
            compiled = stats.compiled - before.compiled
            how = f"compiled {compiled} files and" if compiled else "from the cache,"
            text = f"{name}: as installed, keeps to its world; {how} enabled in {1000 * seconds:.0f} ms"
            yield Finding(check="plugins", grade=Grade.OK, text=text)
    for damaged in scan.damaged:
        text = f"{printable(damaged.plugin)}: {printable(damaged.problem)}"
        yield Finding(check="plugins", grade=Grade.FAILED, text=text, hint="uninstall it, and install it again")
    for pending in scan.pending:
        text = f"{pending.record.plugin_id}: {pending.record.state}: {printable(pending.record.last_error)}"
        yield Finding(check="plugins", grade=Grade.NOTE, text=text, hint="the next start tries to remove it again")
    if not scan.installed:
        hint = "`stellatune plugin install --bundled` installs those that come along"
        yield Finding(check="plugins", grade=Grade.NOTE, text="none is installed", hint=hint)


def grants(bench: Workbench) -> Iterator[Finding]:
    """What was granted can be read, and what plugins lack is named."""
    for plugin in bench.store.list():
        missing = bench.grants.missing(plugin.manifest)
        if missing:
            yield Finding(
                check="grants",
                grade=Grade.NOTE,
                text=f"{plugin.id} asks for what it was not granted: {', '.join(map(printable, missing))}",
                hint=f"see `stellatune plugin permissions {plugin.id}`",
            )
    entries = bench.grants.audit(limit=1)
    text = f"{bench.home.grants}, readable" if entries else "nothing was granted yet"
    yield Finding(check="grants", grade=Grade.OK, text=text)


def natives(bench: Workbench) -> Iterator[Finding]:
    """Every native plugin loads, or says why it cannot."""
    grades = {"ready": Grade.OK, "unavailable": Grade.NOTE}
    for plugin in bench.runtime.natives.load_all():
        text = f"{plugin.plugin_id} ({plugin.kind}/{plugin.type_id}): {plugin.status}"
        if plugin.detail:
            text += f": {printable(plugin.detail)}"
        yield Finding(check="native", grade=grades.get(str(plugin.status), Grade.FAILED), text=text)


def sidecars(bench: Workbench) -> Iterator[Finding]:
    """What keeps helper programs of plugins in, and which of them are in quarantine."""
    there = detect()
    tiers = {
        "bubblewrap": (there.bubblewrap is not None, there.bubblewrap_problem),
        "landlock": (there.landlock, there.landlock_problem),
    }
    for name, (works, problem) in tiers.items():
        grade = Grade.OK if works else Grade.NOTE
        yield Finding(check="sidecars", grade=grade, text=f"{name}: {'works' if works else printable(problem)}")
    if there.choose() is None:
        yield Finding(
            check="sidecars",
            grade=Grade.NOTE,
            text="there is no sandbox for sidecars, so none runs",
            hint="install bubblewrap, or grant `unsandboxed:ID` to those that you trust like yourself",
        )
    for found in FailureMemory(bench.home.sidecars).quarantines():
        yield Finding(
            check="sidecars",
            grade=Grade.NOTE,
            text=f"{printable(found.plugin)}: {printable(found.sidecar)} is in quarantine: {printable(found.reason)}",
            hint=f"`stellatune sidecar lift {printable(found.plugin)} {printable(found.sidecar)}`",
        )


def programs(_: Workbench) -> Iterator[Finding]:
    """Programs that the product does without, and that development and benchmarks use."""
    for name, purpose in {
        "ffmpeg": "benchmarks compare with it",
        "strace": "tests look at system calls with it",
    }.items():
        where = shutil.which(name)
        if where:
            yield Finding(check="programs", grade=Grade.OK, text=f"{name}: {where}")
        else:
            yield Finding(check="programs", grade=Grade.NOTE, text=f"{name} is not there; only {purpose}")


def certificates(_: Workbench) -> Iterator[Finding]:
    """Somebody is trusted: without, no plugin gets a page over https."""
    paths = ssl.get_default_verify_paths()
    where = [path for path in (paths.cafile, paths.capath) if path is not None and os.access(path, os.R_OK)]
    if where:
        yield Finding(check="certificates", grade=Grade.OK, text=f"trusted ones are in {' and '.join(where)}")
    else:
        yield Finding(
            check="certificates",
            grade=Grade.NOTE,
            text="no trusted ones are installed, so plugins get nothing over https",
            hint="install the system's CA certificates, or name a file of them in SSL_CERT_FILE",
        )


CHECKS: dict[str, Check] = {
    "python": python,
    "extras": extras,
    "home": home,
    "engine": engine,
    "plugins": packages,
    "grants": grants,
    "native": natives,
    "sidecars": sidecars,
    "programs": programs,
    "certificates": certificates,
}


def run_checks(bench: Workbench) -> Iterator[Finding]:
    """All of them; one that breaks is a finding itself."""
    for name, check in CHECKS.items():
        try:
            yield from check(bench)
        except StellatuneError as error:
            yield Finding(check=name, grade=Grade.FAILED, text=f"{error.code}: {printable(error)}", hint=error.hint)
        except Exception as error:  # noqa: BLE001 - a doctor does not faint
            yield Finding(check=name, grade=Grade.FAILED, text=printable(f"{type(error).__name__}: {error}"))
