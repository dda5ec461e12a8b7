"""What one sidecar is to see and to have, whatever keeps it in."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

import stellatune_plugins
from stellatune_plugins.host.sidecar.keeper.plan import Limits
from stellatune_plugins.host.sidecar.sandbox.audio import AudioAccess

SYSTEM: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store")
"""Programs and libraries."""
SETTINGS: Final = (
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/fonts",
    "/etc/alsa",
    "/etc/asound.conf",
    "/etc/pulse",
    "/etc/pipewire",
)
"""Of the machine's settings, those that say nothing about its users."""
NETWORK_SETTINGS: Final = (
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/ssl/openssl.cnf",
    "/etc/ca-certificates",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/openssl.cnf",
)
"""Name look-ups, and whom TLS trusts: not the keys beside that, which a host of some group or root could read."""
_OURS: Final = Path(stellatune_plugins.__file__).parent


class Confinement(msgspec.Struct, frozen=True, kw_only=True):
    """The plain facts of one start."""

    argv: tuple[str, ...]
    """Program and arguments; the program by its absolute path."""
    environment: Mapping[str, str] = MappingProxyType({})
    """Laid over the few variables that every sidecar has."""
    root: Path
    """The package's folder: read-only, and where the program comes from."""
    data: Path
    """The plugin's own folder: read-write, and where the program starts."""
    private: Path
    """The folder that this process shares with the host: sockets and pipes to use, and a ``tmp`` to write to."""
    network: bool = False
    audio: AudioAccess | None = None
    inherited: tuple[int, ...] = ()
    """Descriptors that it gets under the same numbers."""
    limits: Limits = Limits()

    def variables(self) -> dict[str, str]:
        """The whole environment: nothing of the host's."""
        plain = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(self.data),
            "TMPDIR": str(self.private / "tmp"),
        }
        return plain | dict(self.audio.environment if self.audio else {}) | dict(self.environment)

    def readable(self) -> Iterator[Path]:
        """Everything that may be read and run, apart from the package."""
        for path in (*SYSTEM, *SETTINGS, *(NETWORK_SETTINGS if self.network else ())):
            yield Path(path)
        if self._is_python:
            yield from interpreter()

    def listable(self) -> Iterator[Path]:
        """Folders whose names alone are needed: Python looks for packages by them."""
        if self._is_python and not _in_system(_OURS):
            yield _OURS.parent

    @property
    def _is_python(self) -> bool:
        return Path(self.argv[0]) == Path(sys.executable)


def interpreter() -> Iterator[Path]:
    """What this Python needs to run a script: its own files and those installed for it, nothing else of its prefix."""
    for prefix in dict.fromkeys((sys.base_prefix, sys.base_exec_prefix, sys.prefix, sys.exec_prefix)):
        for name in ("bin", "lib", "lib64", "pyvenv.cfg"):
            path = Path(prefix, name)
            if not _in_system(path) and path.exists():
                yield path
    if not _in_system(_OURS):
        yield _OURS


def _in_system(path: Path) -> bool:
    return any(os.path.commonpath([folder, path]) == folder for folder in SYSTEM)
