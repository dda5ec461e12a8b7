"""Hostile packages: each is refused by its code and reason, nothing is written outside staging, nothing is left."""

from __future__ import annotations

import json
import os
import socket
import stat
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stellatune_plugins.errors import StellatuneError
from stellatune_plugins.observe import EventBus
from stellatune_plugins.package import Caps, InstallStore

# Small caps, so that the cases for caps stay small too; the shipped ones are checked in test_caps.py.
CAPS = Caps(entries=50, packed=200_000, total=400_000, file=300_000, ratio=100, ratio_floor=10_000)

Kit = Any
Build = Callable[[Kit], bytes]

AES_EXTRA = struct.pack("<HHHHBH", 0x9901, 7, 2, 0x4541, 3, 8)
ZIP64_EXTRA = struct.pack("<HHQQ", 1, 16, 8, 8)
TAR_HEAD = bytes(257) + b"ustar\x0000" + bytes(248)


def unicode_path(name: str, of: str) -> bytes:
    """The extra field that gives an entry a second name."""
    body = struct.pack("<BL", 1, zlib.crc32(of.encode())) + name.encode()
    return struct.pack("<HH", 0x7075, len(body)) + body


def named(name: str | bytes, **more: Any) -> Build:
    """An honest package with one more entry, of this name."""
    return lambda kit: bytes(kit.good().add(name, b"payload", **more).build())


def built(**end: Any) -> Build:
    """An honest package whose archive is put together in another way."""
    return lambda kit: bytes(kit.good().build(**end))


def of(*names: str) -> Build:
    """An honest package with several more entries."""

    def build(kit: Kit) -> bytes:
        kit.good()
        for name in names:
            kit.add(name, b"", mode=0o040755) if name.endswith("/") else kit.add(name, b"x")
        return bytes(kit.build())

    return build


def size_claim(claimed: int, real: bytes) -> Build:
    """A deflated entry that holds other than it says; the sum fits the claimed part, as a liar would arrange it."""

    def build(kit: Kit) -> bytes:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        raw = packer.compress(real) + packer.flush()
        both = {"size": claimed, "crc": zlib.crc32(real[:claimed])}
        return bytes(kit.good().add("data.bin", real, method=8, raw=raw, local=both, central=both).build())

    return build


def carrying(data: bytes, **more: Any) -> Build:
    """An honest package with one more file, of this content."""
    return lambda kit: bytes(kit.good().add("a", data, **more).build())


def only(*files: tuple[str, bytes]) -> Build:
    """An archive of these files alone."""

    def build(kit: Kit) -> bytes:
        for name, data in files:
            kit.add(name, data)
        return bytes(kit.build())

    return build


def component_at(path: str) -> Build:
    """A package whose manifest has its component somewhere else."""
    component = {"id": "m", "path": path, "world": "stellatune:plugin/dsp-plugin@0.1.0", "abilities": []}
    return lambda kit: bytes(kit.good(components=[component]).build())


def packed_claim(packed: int) -> Build:
    """An entry that claims to be longer than the archive."""
    return named("a", local={"packed": packed}, central={"packed": packed})


def no_header(kit: Kit) -> bytes:
    """The directory leads to something that is no header."""
    return bytes(kit.good().build().replace(b"PK\x03\x04", b"PK\x03\x05", 1))


def disguised_zip(kit: Kit) -> bytes:
    """An archive within the archive, under a harmless name."""
    return bytes(kit.good().add("a.txt", kit.__class__().good().build()).build())


def overlapping(kit: Kit) -> bytes:
    """Many entries of the directory that share one body: the bomb that needs no nesting."""
    kit.good()
    at = kit.offset
    kit.add("kernel", b"\0" * 90, method=8)
    return bytes(kit.add("kernel2", b"\0" * 90, method=8, hidden=True, central={"offset": at}).build())


def inside_another(kit: Kit) -> bytes:
    """An entry whose header lies in the data of another."""
    inner = kit.__class__().add("b", b"evil")
    kit.good()
    at = kit.offset + 30 + 1
    kit.add("a", inner._local)
    return bytes(kit.add("b", b"evil", hidden=True, central={"offset": at}).build())


def two_ends(kit: Kit) -> bytes:
    """Two archives in one file, the second in the comment of the first."""
    other = kit.__class__().good(name="other").build()
    first = kit.good().build()
    record = first[:-2] + struct.pack("<H", len(other))
    return bytes(record + other)


def zip64_records(kit: Kit) -> bytes:
    """A zip64 end record and locator before the usual end."""
    record = struct.pack("<4sQHHLLQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 2, 2, 0, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
    return bytes(kit.good().build(between=record + locator))


def descriptor_entry(**changes: Any) -> Build:
    """An entry with a data descriptor that lies."""

    def build(kit: Kit) -> bytes:
        data = b"payload"
        sums = {"crc": zlib.crc32(data), "packed": len(data), "size": len(data), **changes}
        descriptor = b"PK\x07\x08" + struct.pack("<3L", *sums.values())
        blank = {"crc": 0, "packed": 0, "size": 0}
        return bytes(kit.good().add("data", data, flags=0x8, local=blank, descriptor=descriptor).build())

    return build


def damaged(kit: Kit) -> bytes:
    """Deflated data with flipped bits in its middle."""
    kit.good().add("data", bytes(range(256)) * 20, method=8, raw=b"\x07\xff" * 60)
    return bytes(kit.build())


def cut_off(kit: Kit) -> bytes:
    """Deflated data that ends too early."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = os.urandom(500)
    raw = (packer.compress(data) + packer.flush())[:100]
    return bytes(kit.good().add("data", data, method=8, raw=raw).build())


def behind_data(kit: Kit) -> bytes:
    """Bytes between the end of deflated data and the end of the entry."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    raw = packer.compress(b"payload") + packer.flush() + b"hidden"
    return bytes(kit.good().add("data", b"payload", method=8, raw=raw).build())


def many_small(kit: Kit) -> bytes:
    """More bytes in all than allowed, though no file is too large."""
    kit.good()
    for n in range(5):
        kit.add(f"d{n}", os.urandom(500) * 200, method=8)
    return bytes(kit.build())


def slow_bomb(kit: Kit) -> bytes:
    """Many entries, each below the floor of the ratio, that grow out of all proportion together."""
    kit.good()
    for n in range(40):
        kit.add(f"z{n}", bytes(9_900), method=8)
    return bytes(kit.build())


# name, code, reason, archive
ARCHIVES: list[tuple[str, str, str, Build]] = [
    # names that lead elsewhere
    ("absolute", "archive-refused", "absolute-path", named("/tmp/stellatune-hostile")),  # noqa: S108 - never written
    ("absolute-backslash", "archive-refused", "absolute-path", named("\\evil")),
    ("drive", "archive-refused", "drive-path", named("C:/evil")),
    ("drive-relative", "archive-refused", "drive-path", named("c:evil")),
    ("unc-slashes", "archive-refused", "unc-path", named("//host/share/evil")),
    ("unc-backslashes", "archive-refused", "unc-path", named("\\\\host\\share\\evil")),
    ("device-path", "archive-refused", "unc-path", named("\\\\?\\C:\\evil")),
    ("parent", "archive-refused", "parent-path", named("../evil")),
    ("parent-deep", "archive-refused", "parent-path", named("a/b/../../../evil")),
    ("parent-end", "archive-refused", "parent-path", named("a/..", mode=0o100644)),
    ("parent-folder", "archive-refused", "parent-path", of("a/../../evil/")),
    ("parent-backslash", "archive-refused", "backslash", named("..\\evil")),
    ("backslash", "archive-refused", "backslash", named("wasm\\evil")),
    ("dot", "archive-refused", "dot-component", named("./evil")),
    ("double-slash", "archive-refused", "empty-component", named("a//evil")),
    ("empty-name", "archive-refused", "empty-path", named("")),
    ("only-slash", "archive-refused", "empty-path", of("/")),
    # names that mean something else
    ("nul", "archive-refused", "nul", named("plugin.json\0.txt")),
    ("newline", "archive-refused", "control-character", named("a\nb")),
    ("escape-sequence", "archive-refused", "control-character", named("\x1b[2Ja")),
    ("delete-character", "archive-refused", "control-character", named("a\x7f")),
    ("turned-round", "archive-refused", "control-character", named("a\u202egnp.exe")),
    ("zero-width", "archive-refused", "control-character", named("a\u200bb")),
    ("bad-utf8", "archive-refused", "name-encoding", named(b"a\xff\xfe", flags=0x800)),
    ("surrogate", "archive-refused", "name-encoding", named("a\ud800", flags=0x800)),
    ("unnamed-encoding", "archive-refused", "name-encoding", named(b"caf\x82", flags=0)),
    ("device-name", "archive-refused", "reserved-name", named("wasm/NUL")),
    ("device-name-ext", "archive-refused", "reserved-name", named("con.txt")),
    ("device-name-digit", "archive-refused", "reserved-name", named("a/Com1.tar.txt")),
    ("device-superscript", "archive-refused", "reserved-name", named("lpt\u00b2.txt")),
    ("device-folder", "archive-refused", "reserved-name", named("aux/a")),
    ("trailing-dot", "archive-refused", "trailing-dot", named("plugin.json.")),
    ("trailing-space", "archive-refused", "trailing-dot", named("plugin.json ")),
    ("stream", "archive-refused", "reserved-character", named("plugin.json::$DATA")),
    ("wildcard", "archive-refused", "reserved-character", named("a*")),
    ("too-long", "archive-refused", "path-too-long", named("a" * 201)),
    ("too-long-in-all", "archive-refused", "path-too-long", named(("a" * 100 + "/") * 6 + "b")),
    ("too-deep", "archive-refused", "path-too-deep", named("d/" * 16 + "f")),
    # names that collide
    ("duplicate", "archive-refused", "duplicate", of("a", "a")),
    ("second-manifest", "archive-refused", "duplicate", of("plugin.json")),
    ("duplicate-folder", "archive-refused", "duplicate", of("d/", "d/")),
    ("case-twins", "archive-refused", "twin", of("a.txt", "A.txt")),
    ("case-twin-manifest", "archive-refused", "twin", of("Plugin.json")),
    ("case-twin-folders", "archive-refused", "twin", of("data/a", "Data/b")),
    ("sharp-s-twins", "archive-refused", "twin", of("stra\u00dfe", "strasse")),
    ("composed-twins", "archive-refused", "twin", of("caf\u00e9", "cafe\u0301")),
    ("compatibility-twins", "archive-refused", "twin", of("\ufb01le", "file")),
    ("kelvin-twins", "archive-refused", "twin", of("k", "\u212a")),
    ("file-and-folder", "archive-refused", "file-and-folder", of("a", "a/b")),
    ("folder-and-file", "archive-refused", "file-and-folder", of("a/b", "a")),
    # things that are no files
    ("link", "archive-refused", "link", named("a", mode=0o120777)),
    ("link-to-folder", "archive-refused", "link", named("wasm2/", mode=0o120777)),
    ("windows-link", "archive-refused", "link", named("a", central={"made": 20, "mode": 0x400})),
    ("pipe", "archive-refused", "special-file", named("a", mode=0o010644)),
    ("socket", "archive-refused", "special-file", named("a", mode=0o140644)),
    ("character-device", "archive-refused", "special-file", named("a", mode=0o020644)),
    ("block-device", "archive-refused", "special-file", named("a", mode=0o060644)),
    ("strange-type", "archive-refused", "special-file", named("a", mode=0o170644)),
    ("volume-label", "archive-refused", "special-file", named("a", central={"made": 20, "mode": 0x08})),
    ("folder-as-file", "archive-refused", "type-disagrees", named("a", mode=0o040755)),
    ("file-as-folder", "archive-refused", "type-disagrees", lambda kit: kit.good().add("x/").build()),
    ("folder-with-data", "archive-refused", "folder-with-data", named("x/", mode=0o040755)),
    # encryption and methods
    ("encrypted", "archive-refused", "encrypted", named("a", flags=0x1)),
    ("strong-encryption", "archive-refused", "encrypted", named("a", flags=0x41)),
    ("masked-headers", "archive-refused", "encrypted", named("a", flags=0x2001)),
    ("aes", "archive-refused", "encrypted", named("a", extra=AES_EXTRA)),
    ("bzip2", "archive-refused", "method", named("a", method=12)),
    ("lzma", "archive-refused", "method", named("a", method=14)),
    ("zstd", "archive-refused", "method", named("a", method=93)),
    ("deflate64", "archive-refused", "method", named("a", method=9)),
    ("newer-version", "archive-refused", "version", named("a", local={"needed": 90}, central={"needed": 90})),
    ("patch", "archive-refused", "method", named("a", flags=0x20)),
    # headers that disagree
    ("other-local-name", "archive-refused", "name-disagrees", named("a", local={"name": b"b"})),
    ("other-local-name-length", "archive-refused", "name-disagrees", named("a", local={"name": b"abc"})),
    ("second-name", "archive-refused", "name-disagrees", named("a", extra=unicode_path("../evil", "a"))),
    ("second-local-name", "archive-refused", "name-disagrees", named("a", local_extra=unicode_path("b", "a"))),
    ("other-size", "archive-refused", "header-disagrees", named("a", local={"size": 3})),
    ("other-packed-size", "archive-refused", "header-disagrees", named("a", local={"packed": 3})),
    ("other-sum", "archive-refused", "header-disagrees", named("a", local={"crc": 3})),
    ("other-method", "archive-refused", "header-disagrees", named("a", local={"method": 8})),
    ("other-flags", "archive-refused", "header-disagrees", named("a", local={"flags": 0x800})),
    ("descriptor-in-one", "archive-refused", "header-disagrees", named("a", local={"flags": 0x8})),
    ("descriptor-sum", "archive-refused", "header-disagrees", descriptor_entry(crc=1)),
    ("descriptor-size", "archive-refused", "header-disagrees", descriptor_entry(size=1)),
    ("no-local-header", "archive-refused", "header-disagrees", no_header),
    ("extra-cut-off", "archive-refused", "extra-field", named("a", extra=b"\x55\x54\xff\x00a")),
    ("extra-stub", "archive-refused", "extra-field", named("a", extra=b"\x55")),
    # sizes and sums
    ("longer-than-said", "archive-refused", "size-disagrees", size_claim(10, b"x" * 4000)),
    ("shorter-than-said", "archive-refused", "size-disagrees", size_claim(4000, b"x" * 10)),
    ("stored-size-lies", "archive-refused", "size-disagrees", named("a", local={"size": 3}, central={"size": 3})),
    ("bad-sum", "archive-refused", "bad-sum", named("a", local={"crc": 3}, central={"crc": 3})),
    ("damaged-data", "archive-refused", "bad-data", damaged),
    ("cut-off-data", "archive-refused", "bad-data", cut_off),
    ("behind-data", "archive-refused", "size-disagrees", behind_data),
    # layout
    ("overlap", "archive-refused", "overlap", overlapping),
    ("inside-another", "archive-refused", "overlap", inside_another),
    ("packed-size-huge", "archive-refused", "overlap", packed_claim(9_999_999)),
    ("prepended", "archive-refused", "prepended-data", built(prefix=b"#!/bin/sh\n")),
    ("prepended-counted", "archive-refused", "prepended-data", lambda kit: b"MZ" * 8 + shifted(kit, 16)),
    ("appended", "archive-refused", "trailing-data", built(suffix=b"<?php")),
    ("comment-too-short", "archive-refused", "trailing-data", built(suffix=b"x" * 10, comment=b"y")),
    ("gap-between-entries", "archive-refused", "gap", named("a", before=b"hidden")),
    ("gap-before-directory", "archive-refused", "gap", built(gap=b"hidden")),
    ("gap-after-directory", "archive-refused", "directory-disagrees", built(between=b"hidden")),
    ("two-archives", "archive-refused", "two-directories", two_ends),
    ("directory-elsewhere", "archive-refused", "directory-disagrees", built(start=1000)),
    ("directory-too-long", "archive-refused", "directory-disagrees", built(size=10)),
    ("count-too-high", "archive-refused", "directory-disagrees", built(count=3, here=3)),
    ("count-too-low", "archive-refused", "directory-disagrees", built(count=1, here=1)),
    ("directory-entry-too-long", "archive-refused", "directory-disagrees", named("a", central={"extra_size": 60_000})),
    ("zip64-records", "archive-refused", "zip64", zip64_records),
    ("zip64-count", "archive-refused", "zip64", built(count=0xFFFF, here=0xFFFF)),
    ("zip64-size", "archive-refused", "zip64", named("a", central={"size": 0xFFFF_FFFF}, extra=ZIP64_EXTRA)),
    ("zip64-offset", "archive-refused", "zip64", named("a", central={"offset": 0xFFFF_FFFF})),
    ("zip64-local-only", "archive-refused", "zip64", named("a", local_extra=ZIP64_EXTRA)),
    ("second-disk", "archive-refused", "multi-disk", built(disk=1)),
    ("entries-elsewhere", "archive-refused", "multi-disk", built(here=1)),
    ("entry-on-another-disk", "archive-refused", "multi-disk", named("a", central={"disk": 1})),
    # archives in the archive
    ("nested-zip", "archive-refused", "nested-archive", named("inner.zip")),
    ("nested-wheel", "archive-refused", "nested-archive", named("bin/x.WHL")),
    ("nested-tarball", "archive-refused", "nested-archive", named("a/b.tar.gz")),
    ("nested-tgz", "archive-refused", "nested-archive", named("b.tgz")),
    ("nested-7z", "archive-refused", "nested-archive", named("b.7z")),
    ("disguised-zip", "archive-refused", "nested-archive", disguised_zip),
    ("disguised-empty-zip", "archive-refused", "nested-archive", carrying(b"PK\x05\x06" + bytes(18))),
    ("disguised-gzip", "archive-refused", "nested-archive", carrying(b"\x1f\x8b\x08" + bytes(20))),
    ("disguised-bzip2", "archive-refused", "nested-archive", carrying(b"BZh91AY&SY")),
    ("disguised-xz", "archive-refused", "nested-archive", carrying(b"\xfd7zXZ\0" + bytes(9))),
    ("disguised-zstd", "archive-refused", "nested-archive", carrying(b"\x28\xb5\x2f\xfd")),
    ("disguised-7z", "archive-refused", "nested-archive", carrying(b"7z\xbc\xaf\x27\x1c")),
    ("disguised-rar", "archive-refused", "nested-archive", carrying(b"Rar!\x1a\x07\x01")),
    ("disguised-tar", "archive-refused", "nested-archive", carrying(TAR_HEAD)),
    # too much
    ("too-many-entries", "archive-refused", "too-many-entries", of(*[f"f{n}" for n in range(60)])),
    ("archive-too-large", "archive-refused", "archive-too-large", carrying(os.urandom(200_001))),
    ("file-too-large", "archive-refused", "file-too-large", carrying(os.urandom(1000) * 301, method=8)),
    ("package-too-large", "archive-refused", "package-too-large", many_small),
    ("bomb", "archive-refused", "ratio", carrying(bytes(299_000), method=8)),
    ("bomb-that-lies", "archive-refused", "ratio", size_claim(299_000, bytes(299_000))),
    ("slow-bomb", "archive-refused", "ratio", slow_bomb),
    # packages that are none, or several
    ("two-packages", "archive-refused", "two-packages", only(("a/plugin.json", b"{}"), ("b/plugin.json", b"{}"))),
    ("beside-the-folder", "archive-refused", "outside-root", only(("a/plugin.json", b"{}"), ("evil", b"x"))),
    ("own-receipt", "archive-refused", "receipt", named(".install.json")),
    ("own-removal", "archive-refused", "receipt", named(".uninstall-pending")),
    ("receipt-look-alike", "archive-refused", "receipt", named(".Install.JSON")),
    ("no-manifest", "source-unreadable", "", only(("a", b"x"))),
    ("manifest-too-far-down", "source-unreadable", "", only(("a/b/plugin.json", b"{}"))),
    ("empty-archive", "source-unreadable", "", lambda kit: kit.build()),
    ("no-archive", "source-unreadable", "", lambda _kit: b"this is no archive"),
    ("cut-off-archive", "source-unreadable", "", lambda kit: kit.good().build()[:-30]),
    ("manifest-is-folder", "source-unreadable", "", lambda kit: kit.add("plugin.json/", mode=0o040755).build()),
    ("manifest-is-garbage", "manifest-invalid", "", only(("plugin.json", bytes(40)))),
    ("manifest-too-long", "manifest-invalid", "", lambda kit: kit.add("plugin.json", b" " * 290_000, method=8).build()),
    ("manifest-id-climbs", "manifest-invalid", "", lambda kit: kit.good(id="../../evil").build()),
    ("manifest-id-hidden", "manifest-invalid", "", lambda kit: kit.good(id=".staging").build()),
    ("component-missing", "manifest-invalid", "", component_at("wasm/none.wasm")),
    ("component-outside", "manifest-invalid", "", component_at("../gain.wasm")),
    ("text-module", "not-wasm", "", lambda kit: kit.good().add("wasm/hot.wasm", b"(module)").build()),
    ("wasm-in-capitals", "not-wasm", "", lambda kit: kit.good().add("wasm/HOT.WASM", b"MZ").build()),
]  # fmt: skip


def shifted(kit: Kit, by: int) -> bytes:
    """An honest archive whose offsets count bytes that stand before it, as self-extracting ones have it."""
    archive = bytearray(kit.good().build())
    at = archive.find(b"PK\x01\x02")
    while at >= 0:
        (offset,) = struct.unpack_from("<L", archive, at + 42)
        struct.pack_into("<L", archive, at + 42, offset + by)
        at = archive.find(b"PK\x01\x02", at + 4)
    end = archive.rfind(b"PK\x05\x06")
    (start,) = struct.unpack_from("<L", archive, end + 16)
    struct.pack_into("<L", archive, end + 16, start + by)
    return bytes(archive)


def everything_below(root: Path) -> dict[str, tuple[int, bytes | None]]:
    """Every path below a folder, with mode, and content where it is a file."""
    found: dict[str, tuple[int, bytes | None]] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        readable = stat.S_ISREG(status.st_mode) and status.st_size < 1 << 20
        found[os.fsdecode(path.relative_to(root))] = (status.st_mode, path.read_bytes() if readable else None)
    return found


def assert_refused(store_root: Path, bus: EventBus, source: Path, written: list[Path], code: str, reason: str) -> None:
    """Install and upgrade a hostile package; both are refused, and nothing else happens."""
    for operation in ("install", "upgrade"):
        folder = store_root / operation
        store = InstallStore(folder, bus, caps=CAPS)
        before = everything_below(store_root.parent)
        written.clear()
        with pytest.raises(StellatuneError) as caught:
            getattr(store, operation)(source)
        error = caught.value
        assert error.code == code, error
        assert error.details.get("reason", "") == reason, error
        assert error.operation == operation
        assert error.hint
        assert str(error).isprintable()
        json.dumps(error.to_dict())
        staging = folder / ".staging"
        for path in written:
            assert path.is_relative_to(staging) or path in {folder, folder / ".lock"}, (
                path
            )  # the lock makes sure of its folder
        assert everything_below(store_root.parent) == before
        assert not list(staging.iterdir())


@pytest.fixture
def store_root(tmp_path: Path, bus: EventBus, make_kit: Any) -> Path:
    """Two stores, ``install`` and ``upgrade``, with an honest plugin each; the second has an old hostile-to-be."""
    archive = tmp_path / "honest.zip"
    for name, plugin in (("install", "honest"), ("upgrade", "honest"), ("upgrade", "org.example.gain")):
        archive.write_bytes(make_kit().good(id=plugin, version="0.1").build())
        InstallStore(tmp_path / "home" / name, bus).install(archive)
    return tmp_path / "home"


@pytest.mark.parametrize(("code", "reason", "build"), [a[1:] for a in ARCHIVES], ids=[a[0] for a in ARCHIVES])
def test_a_hostile_archive_is_refused_without_a_trace(
    store_root: Path, bus: EventBus, kit: Kit, tmp_path: Path, written: list[Path], code: str, reason: str, build: Build
) -> None:
    """Refused with its code and reason; nothing outside staging was written, nothing is left."""
    archive = tmp_path / "hostile.zip"
    archive.write_bytes(build(kit))

    assert_refused(store_root, bus, archive, written, code, reason)


def test_the_table_is_as_long_as_promised() -> None:
    """At least 80 hostile archives, each under its own name."""
    names = [archive[0] for archive in ARCHIVES]

    assert len(names) == len(set(names)) >= 80


# --- folders --------------------------------------------------------------------------------------------------------


def put_socket(root: Path) -> None:
    """Bind a socket in the folder."""
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(root)  # socket paths are short
        try:
            server.bind("s")
        finally:
            os.chdir(here)


def touching(*names: str) -> Callable[[Path], None]:
    """Puts empty files into the folder."""

    def touch(root: Path) -> None:
        for name in names:
            (root / name).touch()

    return touch


def deep(root: Path) -> None:
    """More levels than any package needs."""
    (root / "/".join(["d"] * 20)).mkdir(parents=True)


def sparse(root: Path) -> None:
    """A file of a terabyte that takes no space."""
    (root / "a").touch()
    os.truncate(root / "a", 1 << 40)


FOLDERS: list[tuple[str, str, Callable[[Path], object]]] = [
    ("link", "link", lambda root: (root / "a").symlink_to("plugin.json")),
    ("link-out", "link", lambda root: (root / "a").symlink_to("/etc/passwd")),
    ("link-to-folder", "link", lambda root: (root / "a").symlink_to("/etc")),
    ("dangling-link", "link", lambda root: (root / "a").symlink_to("nothing")),
    ("pipe", "special-file", lambda root: os.mkfifo(root / "a")),
    ("socket", "special-file", put_socket),
    ("hard-link-out", "hard-link", lambda root: os.link(root.parent / "outside", root / "a")),
    ("backslash", "backslash", lambda root: (root / "a\\b").touch()),
    ("control", "control-character", lambda root: (root / "a\nb").touch()),
    ("bad-utf8", "not-unicode", lambda root: Path(os.fsdecode(os.fsencode(root) + b"/a\xff")).touch()),
    ("trailing-dot", "trailing-dot", lambda root: (root / "a.").touch()),
    ("device-name", "reserved-name", lambda root: (root / "nul").touch()),
    ("case-twins", "twin", touching("a", "A")),
    ("composition-twins", "twin", touching("\u00e9", "e\u0301")),
    ("too-deep", "path-too-deep", deep),
    ("too-many", "too-many-entries", touching(*(f"f{n}" for n in range(60)))),
    ("file-too-large", "file-too-large", lambda root: (root / "a").write_bytes(bytes(300_001))),
    ("package-too-large", "package-too-large", lambda root: [(root / n).write_bytes(bytes(250_000)) for n in "ab"]),
    ("sparse", "file-too-large", sparse),
    ("nested-archive", "nested-archive", lambda root: (root / "a.zip").touch()),
    ("disguised-archive", "nested-archive", lambda root: (root / "a").write_bytes(b"PK\x03\x04")),
    ("receipt-look-alike", "receipt", lambda root: (root / ".INSTALL.json").touch()),
]


@pytest.mark.parametrize(("reason", "prepare"), [f[1:] for f in FOLDERS], ids=[f[0] for f in FOLDERS])
def test_a_hostile_folder_is_refused_without_a_trace(
    store_root: Path,
    bus: EventBus,
    make_folder: Callable[..., Path],
    written: list[Path],
    reason: str,
    prepare: Callable[[Path], object],
) -> None:
    """The same rules hold for folders, and links and special files have no place in them."""
    root = make_folder()
    (root.parent / "outside").write_text("somebody else's")
    prepare(root)

    assert_refused(store_root, bus, root, written, "archive-refused", reason)


def test_a_device_in_a_folder_is_refused(
    store_root: Path, bus: EventBus, make_folder: Callable[..., Path], written: list[Path]
) -> None:
    """A device node, where the test may make one, is a special file."""
    root = make_folder()
    try:
        os.mknod(root / "zero", 0o644 | stat.S_IFCHR, os.makedev(1, 5))
    except PermissionError:
        assert os.geteuid() != 0  # only root makes devices; everybody else cannot bring one either
        return

    assert_refused(store_root, bus, root, written, "archive-refused", "special-file")


def test_hard_links_within_the_folder_are_fine(
    store_root: Path, bus: EventBus, make_folder: Callable[..., Path]
) -> None:
    """A file that has two names, both in the package, is nobody else's."""
    root = make_folder(files={"a.txt": b"a"})
    os.link(root / "a.txt", root / "b.txt")

    plugin = InstallStore(store_root / "install", bus).install(root)

    assert plugin.read("b.txt") == b"a"
    assert (plugin.root / "b.txt").stat().st_nlink == 1
