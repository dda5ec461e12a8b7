"""Which file a plugin means by an executable's name (contract, section 5)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.package.manifest import SidecarSpec
from stellatune_plugins.package.paths import shown

MAX_NAME = 1024


def sidecar_id(executable: str, declared: tuple[SidecarSpec, ...]) -> str:
    """What grants, logs and lists call it: the id of the manifest's sidecar of the same executable, else its path.

    A path that reads like the id of another sidecar has a dot before it: what was granted to that one is not its.
    """
    named = next((spec.id for spec in declared if spec.executable == executable), None)
    if named is not None:
        return named
    return f"./{executable}" if any(spec.id == executable for spec in declared) else executable


def is_local(executable: str) -> bool:
    """Whether it is a path below the package's folder, by its text."""
    path = PurePosixPath(executable)
    odd = not executable or len(executable) > MAX_NAME or not executable.isprintable() or "\\" in executable
    return not odd and not path.is_absolute() and ".." not in path.parts and executable not in {".", "./"}


def find_executable(root: Path, executable: str) -> Path:
    """The file itself.

    Args:
        root: the package's folder.
        executable: the plugin's own words. An absolute path is taken as it is: that it was granted, by exactly this
            text, is for the caller to know.

    Raises:
        PluginFailure: ``invalid-arg`` for what can be no executable, ``not-found`` where there is none.
    """
    if Path(executable).is_absolute() and executable.isprintable() and ".." not in Path(executable).parts:
        candidates: list[Path] = [Path(executable)]
    elif is_local(executable):
        candidates = list(_below(root, executable))
    else:
        raise PluginFailure("invalid-arg", f"{shown(executable)} is no path below the package")
    for path in candidates:
        if path.is_file():
            if path.suffix != ".py" and not os.access(path, os.X_OK):
                raise PluginFailure("not-found", f"{shown(executable)} is not marked as executable")
            return path
    raise PluginFailure("not-found", f"the package has no program {shown(executable)}, nor bin/{shown(executable)}")


def _below(root: Path, executable: str) -> Iterator[Path]:
    """The two places where it may be. A link out of the package leads nowhere."""
    base = root.resolve()
    for candidate in (base / executable, base / "bin" / executable):
        real = candidate.resolve()
        if real.is_relative_to(base):
            yield real


def command(program: Path, arguments: tuple[str, ...]) -> tuple[str, ...]:
    """Program and arguments: Python scripts are run by this very interpreter, without the user's own site."""
    if program.suffix == ".py":
        return (sys.executable, "-I", str(program), *arguments)
    return (str(program), *arguments)
