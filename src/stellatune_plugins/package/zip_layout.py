"""The layout of a zip archive, read with distrust (PKWARE APPNOTE 6.3.10, sections 4.3 and 4.4).

Readers of zip files differ in which of an archive's contradicting headers they believe, and so one archive can be two.
Here only an archive passes that says the same thing everywhere: entries lie side by side from the first byte to the
directory, every local header agrees with the directory, and nothing lies between, before or behind.
"""

from __future__ import annotations

import stat
import struct
import zlib

import msgspec

from stellatune_plugins.errors import SourceUnreadable
from stellatune_plugins.package.caps import Caps, refusal

STORED = 0
DEFLATED = 8
NEWEST_VERSION = 63
"""Of the format, times ten: what APPNOTE 6.3 describes."""

_END = struct.Struct("<4s4H2LH")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_END_MAGIC = b"PK\x05\x06"
_END64_LOCATOR_MAGIC = b"PK\x06\x07"
_CENTRAL_MAGIC = b"PK\x01\x02"
_LOCAL_MAGIC = b"PK\x03\x04"
_DESCRIPTOR_MAGIC = b"PK\x07\x08"

_ENCRYPTED_FLAGS = 0x0001 | 0x0040 | 0x2000
_DESCRIPTOR_FLAG = 0x0008
_PATCH_FLAG = 0x0020
_UTF8_FLAG = 0x0800
_LEVEL_FLAGS = 0x0006  # how hard the packer tried; some set them in one header only

_EXTRA_ZIP64 = 0x0001
_EXTRA_ENCRYPTION = frozenset({0x0014, 0x0015, 0x0016, 0x0017, 0x9901})
_EXTRA_UNICODE_PATH = 0x7075

_DOS_VOLUME = 0x08
_DOS_FOLDER = 0x10
_DOS_REPARSE = 0x400


class ZipMember(msgspec.Struct, frozen=True, kw_only=True):
    """One entry, as both its headers have it. Offsets and sizes in bytes."""

    name: str
    """Without the slash at a folder's end."""
    is_folder: bool
    method: int
    crc: int
    packed: int
    size: int
    flags: int
    offset: int
    mode: int
    """Unix mode bits; 0 where the archive has none."""
    raw_name: bytes


def read_layout(data: bytes, caps: Caps) -> list[tuple[ZipMember, memoryview]]:
    """Every entry with its packed bytes, in the directory's order.

    Raises:
        SourceUnreadable: where it is no zip archive at all.
        ArchiveRefused: where it is one that no honest packer makes.
    """
    start, end, count = _find_directory(data)
    if count > caps.entries:
        raise refusal("too-many-entries", f"the archive has {count} entries, more than {caps.entries}")
    members = _read_directory(data, start, end, count)
    return _locate(data, members, start)


# --- the end record and the directory -------------------------------------------------------------------------------


def _find_directory(data: bytes) -> tuple[int, int, int]:
    """Start and end of the directory, and how many entries it has."""
    at = _find_end(data)
    _, disk, directory_disk, here, count, size, start, _ = _END.unpack_from(data, at)
    if data[max(0, at - 20) : at].startswith(_END64_LOCATOR_MAGIC) or 0xFFFF in {here, count} or size == 0xFFFF_FFFF:
        raise refusal("zip64", "the archive is in zip64 form, which no package within the limits needs")
    if disk or directory_disk or here != count:
        raise refusal("multi-disk", "the archive is one of several volumes")
    if start + size != at:
        if data[max(0, at - size) : at].startswith(_CENTRAL_MAGIC) and start + size < at:
            raise refusal("prepended-data", "something lies before the archive")
        raise refusal("directory-disagrees", "the directory is not where the archive's end says")
    return start, at, count


def _find_end(data: bytes) -> int:
    """Where the end record is: the one whose comment ends with the file."""
    ends = []
    position = data.find(_END_MAGIC, max(0, len(data) - _END.size - 0xFFFF))
    seen = position >= 0
    while position >= 0:
        if position + _END.size <= len(data):
            comment = int.from_bytes(data[position + _END.size - 2 : position + _END.size], "little")
            if position + _END.size + comment == len(data):
                ends.append(position)
        position = data.find(_END_MAGIC, position + 1)
    if not ends:
        if seen:
            raise refusal("trailing-data", "something lies behind the end of the archive")
        raise SourceUnreadable("the file is no zip archive, or is cut off")
    if len(ends) > 1:
        raise refusal("two-directories", "the archive has two ends, so that readers differ in what it holds")
    return ends[0]


def _read_directory(data: bytes, start: int, end: int, count: int) -> list[ZipMember]:
    members = []
    at = start
    for _ in range(count):
        if at + _CENTRAL.size > end or data[at : at + 4] != _CENTRAL_MAGIC:
            raise refusal("directory-disagrees", "the directory has fewer entries than the archive's end says")
        fields = _CENTRAL.unpack_from(data, at)
        name_size, extra_size, comment_size = fields[10:13]
        name_at = at + _CENTRAL.size
        extra_at = name_at + name_size
        at = extra_at + extra_size + comment_size
        if at > end:
            raise refusal("directory-disagrees", "an entry of the directory runs past its end")
        members.append(_member(fields, data[name_at:extra_at], data[extra_at : extra_at + extra_size]))
    if at != end:
        raise refusal("directory-disagrees", "the directory has more bytes than its entries")
    return members


def _member(fields: tuple[int, ...], raw_name: bytes, extra: bytes) -> ZipMember:
    needed, flags, method, crc, packed, size = fields[2], fields[3], fields[4], fields[7], fields[8], fields[9]
    disk, external, offset = fields[13], fields[15], fields[16]
    name = _name(raw_name, flags, extra)
    _check_extra(extra, raw_name, name)
    if 0xFFFF_FFFF in {packed, size, offset} or disk == 0xFFFF:
        raise refusal("zip64", "the entry is in zip64 form, which no package within the limits needs", name)
    if disk:
        raise refusal("multi-disk", "the entry lies on another volume", name)
    if flags & _ENCRYPTED_FLAGS:
        raise refusal("encrypted", "the entry is encrypted", name)
    if flags & _PATCH_FLAG or method not in {STORED, DEFLATED}:
        raise refusal("method", f"the entry is packed by method {method}; only stored and deflated are read", name)
    if needed & 0xFF > NEWEST_VERSION:
        raise refusal("version", "the entry needs a newer zip reader", name)
    is_folder = name.endswith("/")
    _check_type(external, name, is_folder=is_folder)
    if is_folder and (packed or size) and not (size == 0 and packed == 2 and method == DEFLATED):
        raise refusal("folder-with-data", "the entry is a folder and has content", name)
    return ZipMember(
        name=name[:-1] if is_folder else name,
        is_folder=is_folder,
        method=method,
        crc=crc,
        packed=packed,
        size=size,
        flags=flags,
        offset=offset,
        mode=external >> 16,
        raw_name=raw_name,
    )


def _name(raw: bytes, flags: int, extra: bytes) -> str:
    """The name; not ASCII only where the archive says that it is UTF-8."""
    if not raw.isascii() and not flags & _UTF8_FLAG and _EXTRA_UNICODE_PATH not in dict(_extras(extra)):
        raise refusal("name-encoding", "a name has bytes whose meaning the archive does not say", ascii(raw))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise refusal("name-encoding", "a name is not valid UTF-8", ascii(raw)) from error


def _extras(extra: bytes) -> list[tuple[int, bytes]]:
    """The extra fields; refuses a list that does not end where it should."""
    found = []
    at = 0
    while at < len(extra):
        if at + 4 > len(extra):
            raise refusal("extra-field", "an extra field is cut off")
        kind, size = struct.unpack_from("<HH", extra, at)
        at += 4 + size
        if at > len(extra):
            raise refusal("extra-field", "an extra field is cut off")
        found.append((kind, extra[at - size : at]))
    return found


def _check_extra(extra: bytes, raw_name: bytes, name: str) -> None:
    for kind, body in _extras(extra):
        if kind == _EXTRA_ZIP64:
            raise refusal("zip64", "the entry is in zip64 form, which no package within the limits needs", name)
        if kind in _EXTRA_ENCRYPTION:
            raise refusal("encrypted", "the entry is encrypted", name)
        # Version 1, the CRC of the header's name, and the name again (APPNOTE 4.6.9).
        same = struct.pack("<BL", 1, zlib.crc32(raw_name)) + name.encode()
        if kind == _EXTRA_UNICODE_PATH and body != same:
            raise refusal("name-disagrees", "the entry has a second name that differs", name)


def _check_type(external: int, name: str, *, is_folder: bool) -> None:
    kind = stat.S_IFMT(external >> 16)
    if kind == stat.S_IFLNK or external & _DOS_REPARSE:
        raise refusal("link", "the entry is a link", name)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR} or external & _DOS_VOLUME:
        raise refusal("special-file", "the entry is a device, a pipe, a socket or a label", name)
    says_folder = kind == stat.S_IFDIR or (kind == 0 and bool(external & _DOS_FOLDER))
    if (says_folder and not is_folder) or (kind == stat.S_IFREG and is_folder):
        raise refusal("type-disagrees", "the entry's name and its attributes differ on whether it is a folder", name)


# --- local headers and data -----------------------------------------------------------------------------------------


def _locate(data: bytes, members: list[ZipMember], directory: int) -> list[tuple[ZipMember, memoryview]]:
    """Walk the entries by offset: each must begin where the one before it ended, the last end at the directory."""
    order = sorted(range(len(members)), key=lambda index: members[index].offset)
    bodies: dict[int, memoryview] = {}
    expected = 0
    for place, index in enumerate(order):
        member = members[index]
        if member.offset != expected:
            _refuse_place(member, expected)
        following = members[order[place + 1]].offset if place + 1 < len(order) else directory
        body = _check_local(data, member, following)
        bodies[index] = memoryview(data)[body : body + member.packed]
        expected = following
    if expected != directory:  # an archive without entries that has something in it
        raise refusal("prepended-data", "something lies before the archive")
    return [(member, bodies[index]) for index, member in enumerate(members)]


def _refuse_place(member: ZipMember, expected: int) -> None:
    if member.offset < expected:
        raise refusal("overlap", "the entry lies inside another", member.name)
    if expected == 0:
        raise refusal("prepended-data", "something lies before the first entry", member.name)
    raise refusal("gap", "something lies before the entry that belongs to none", member.name)


def _check_local(data: bytes, member: ZipMember, following: int) -> int:
    """Where the entry's packed bytes begin; they and a descriptor must reach to ``following``."""
    name = member.name
    at = member.offset
    if at + _LOCAL.size > following:
        raise refusal("overlap", "the entry's header runs into what follows", name)
    header: tuple[int, ...] = _LOCAL.unpack_from(data, at)
    _, _, flags, method, _, _, crc, packed, size, name_size, extra_size = header
    if data[at : at + 4] != _LOCAL_MAGIC:
        raise refusal("header-disagrees", "there is no header where the directory says", name)
    name_at = at + _LOCAL.size
    body = name_at + name_size + extra_size
    if body > following:
        raise refusal("overlap", "the entry's header runs into what follows", name)
    if data[name_at : name_at + name_size] != member.raw_name:
        raise refusal("name-disagrees", "the entry has another name in its own header", name)
    _check_extra(data[name_at + name_size : body], member.raw_name, name)
    if (flags ^ member.flags) & ~_LEVEL_FLAGS:
        raise refusal("header-disagrees", "the entry has other flags in its own header", name)
    if method != member.method:
        raise refusal("header-disagrees", "the entry has another method in its own header", name)
    later = bool(flags & _DESCRIPTOR_FLAG)
    for local, central in ((crc, member.crc), (packed, member.packed), (size, member.size)):
        if local != central and not (later and local == 0):
            raise refusal("header-disagrees", "the entry has other sizes or another sum in its own header", name)
    _check_end(data, member, body + member.packed, following)
    return body


def _check_end(data: bytes, member: ZipMember, end: int, following: int) -> None:
    if end > following:
        raise refusal("overlap", "the entry's data runs into what follows", member.name)
    rest = data[end:following]
    if not rest and not member.flags & _DESCRIPTOR_FLAG:
        return
    sums = struct.pack("<3L", member.crc, member.packed, member.size)
    if not member.flags & _DESCRIPTOR_FLAG:
        raise refusal("gap", "something lies behind the entry that belongs to none", member.name)
    if rest not in {sums, _DESCRIPTOR_MAGIC + sums}:
        raise refusal("header-disagrees", "the entry's descriptor differs from the directory", member.name)
