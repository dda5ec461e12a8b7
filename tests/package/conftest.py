"""Packages for tests: honest ones, and a zip writer that lies wherever it is told to."""

from __future__ import annotations

import json
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stellatune_plugins.observe import EventBus
from stellatune_plugins.package import InstallStore

COMPONENT = b"\0asm\x0d\x00\x01\x00"
CORE_MODULE = b"\0asm\x01\x00\x00\x00"

UTF8_FLAG = 0x0800
DESCRIPTOR_FLAG = 0x0008


def manifest_data(**changes: Any) -> dict[str, Any]:
    """A valid manifest; ``changes`` replace top-level fields, ``None`` drops one."""
    data: dict[str, Any] = {
        "schema_version": 1,
        "id": "org.example.gain",
        "name": "Gain",
        "version": "1.0.0",
        "api_version": 1,
        "components": [
            {
                "id": "main",
                "path": "wasm/gain.wasm",
                "world": "stellatune:plugin/dsp-plugin@0.1.0",
                "abilities": [{"kind": "dsp", "type_id": "gain"}],
            }
        ],
    }
    data.update(changes)
    return {key: value for key, value in data.items() if value is not None}


class ZipKit:
    """Writes zip archives byte by byte. Overrides name fields of the headers: ``local={"size": 3}``."""

    def __init__(self) -> None:
        self._local = b""
        self._central = b""
        self._count = 0
        self.offset = 0

    def good(self, **changes: Any) -> ZipKit:
        """Add the files of an honest package."""
        self.add("plugin.json", json.dumps(manifest_data(**changes)).encode())
        return self.add("wasm/gain.wasm", COMPONENT)

    def add(
        self,
        name: str | bytes,
        data: bytes = b"",
        *,
        method: int = 0,
        mode: int = 0o100644,
        flags: int | None = None,
        raw: bytes | None = None,
        local: dict[str, Any] | None = None,
        central: dict[str, Any] | None = None,
        extra: bytes = b"",
        local_extra: bytes | None = None,
        descriptor: bytes | None = None,
        before: bytes = b"",
        hidden: bool = False,
    ) -> ZipKit:
        """Add an entry. ``raw``: other packed bytes; ``hidden``: only in the directory, without bytes of its own."""
        encoded = name.encode("utf-8", "surrogatepass") if isinstance(name, str) else name
        if flags is None:
            flags = 0 if encoded.isascii() else UTF8_FLAG
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = raw if raw is not None else (packer.compress(data) + packer.flush() if method == 8 else data)
        honest = {
            "needed": 20,
            "flags": flags,
            "method": method,
            "crc": zlib.crc32(data),
            "packed": len(packed),
            "size": len(data),
            "name": encoded,
        }
        if not hidden:
            self.offset += len(before)
        here = {"extra": extra if local_extra is None else local_extra, **honest, **(local or {})}
        there = {
            "made": 3 << 8 | 20,
            "extra": extra,
            "comment": b"",
            "disk": 0,
            "mode": mode << 16,
            "offset": self.offset,
            **honest,
            **(central or {}),
        }
        if not hidden:
            entry = self._local_header(here) + packed + (descriptor or b"")
            self._local += before + entry
            self.offset += len(entry)
        self._central += self._central_header(there)
        self._count += 1
        return self

    @staticmethod
    def _local_header(f: dict[str, Any]) -> bytes:
        fixed = struct.pack(
            "<4s5H3L2H", b"PK\x03\x04", f["needed"], f["flags"], f["method"], 0, 33,
            f["crc"], f["packed"], f["size"], f.get("name_size", len(f["name"])), len(f["extra"]),
        )  # fmt: skip
        return bytes(fixed + f["name"] + f["extra"])

    @staticmethod
    def _central_header(f: dict[str, Any]) -> bytes:
        fixed = struct.pack(
            "<4s6H3L5H2L", b"PK\x01\x02", f["made"], f["needed"], f["flags"], f["method"], 0, 33,
            f["crc"], f["packed"], f["size"], len(f["name"]), f.get("extra_size", len(f["extra"])), len(f["comment"]),
            f["disk"], 0, f["mode"], f["offset"],
        )  # fmt: skip
        return bytes(fixed + f["name"] + f["extra"] + f["comment"])

    def build(
        self,
        *,
        prefix: bytes = b"",
        gap: bytes = b"",
        between: bytes = b"",
        suffix: bytes = b"",
        comment: bytes = b"",
        **end: int,
    ) -> bytes:
        """The archive. ``gap`` stands before the directory, ``between`` behind it; ``end`` overrides the end record."""
        fields = {
            "disk": 0,
            "directory_disk": 0,
            "here": self._count,
            "count": self._count,
            "size": len(self._central),
            "start": len(self._local) + len(gap),
            "comment": len(comment),
            **end,
        }
        record = struct.pack("<4s4H2LH", b"PK\x05\x06", *fields.values())
        return prefix + self._local + gap + self._central + between + record + comment + suffix


@pytest.fixture
def kit() -> ZipKit:
    """An empty zip writer."""
    return ZipKit()


@pytest.fixture
def make_kit() -> type[ZipKit]:
    """Makes zip writers."""
    return ZipKit


@pytest.fixture
def make_manifest() -> Callable[..., dict[str, Any]]:
    """Makes valid manifests, changed as told."""
    return manifest_data


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes packages as folders: ``make_folder("name", files={"extra": b""}, version="2.0.0")``."""

    def write(name: str = "package", *, files: dict[str, bytes] | None = None, **changes: Any) -> Path:
        root = tmp_path / "sources" / name
        content = {"plugin.json": json.dumps(manifest_data(**changes)).encode(), "wasm/gain.wasm": COMPONENT}
        for path, data in {**content, **(files or {})}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(data)
        return root

    return write


@pytest.fixture
def bus() -> EventBus:
    """An event bus."""
    return EventBus()


@pytest.fixture
def store(tmp_path: Path, bus: EventBus) -> InstallStore:
    """An empty store below ``tmp_path / "plugins"``."""
    return InstallStore(tmp_path / "plugins", bus, lock_seconds=5)


class WriteAudit:
    """Hears of every file that Python code changes, wherever it is."""

    def __init__(self) -> None:
        self.paths: list[Path] | None = None
        sys.addaudithook(self._hear)  # for good: hooks cannot be taken out again, so there is one in all

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if self.paths is None:
            return
        if event == "open":
            path, _, flags = args
            if flags & 0o1103 and isinstance(path, str | bytes):  # O_WRONLY, O_RDWR, O_CREAT, O_TRUNC
                self._note(path)
        elif event in {"os.mkdir", "os.remove", "os.rmdir", "os.chmod", "os.truncate", "os.utime", "os.chown"}:
            self._note(args[0])
        elif event in {"os.rename", "os.link", "os.symlink"}:
            self._note(args[0])
            self._note(args[1])

    def _note(self, path: Any) -> None:
        assert self.paths is not None
        if isinstance(path, str | bytes):
            self.paths.append(Path(path.decode() if isinstance(path, bytes) else path))


_audit = WriteAudit()


@pytest.fixture
def written() -> Iterator[list[Path]]:
    """The paths that were written to since the test began, outside of pytest's own."""
    _audit.paths = []
    try:
        yield _audit.paths
    finally:
        _audit.paths = None
