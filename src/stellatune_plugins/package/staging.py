"""Bringing a package's files from its source into the staging area, checked on the way and durable at the end."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from stellatune_plugins.errors import ManifestInvalid, NotWasm, Problem, SourceUnreadable
from stellatune_plugins.package.caps import Budget, Caps, refusal
from stellatune_plugins.package.fsops import FsOps
from stellatune_plugins.package.manifest import Manifest
from stellatune_plugins.package.manifest_reader import MAX_MANIFEST_BYTES, parse_manifest
from stellatune_plugins.package.nested import HEAD_BYTES, is_archive_head
from stellatune_plugins.package.paths import MANIFEST_NAME, RECEIPT_NAME, shown
from stellatune_plugins.package.receipt import FileRecord, Receipt, package_digest
from stellatune_plugins.package.sources import Entry, PackageSource

_WASM_MAGIC = b"\0asm"
_COMPONENT_LAYER = b"\x01\x00"  # bytes 6 and 7 of a component; 0 in a core module


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far an operation is. ``step`` is ``copy``, ``check`` or ``switch``; totals are what the source declares."""

    step: str
    files_done: int
    files: int
    bytes_done: int
    bytes: int


ProgressHook = Callable[[Progress], None]


def read_manifest(source: PackageSource) -> tuple[Manifest, bytes]:
    """The package's manifest and its bytes; component files that the package lacks are problems too."""
    entries = source.entries()
    entry = next((e for e in entries if e.path == MANIFEST_NAME), None)
    if entry is None:
        raise SourceUnreadable(f"there is no {MANIFEST_NAME} in the package")
    data = b""
    for chunk in source.chunks(entry):
        data += chunk
        if len(data) > MAX_MANIFEST_BYTES:
            break
    manifest = parse_manifest(data)
    _require_files(manifest, entries)
    return manifest, data


def _require_files(manifest: Manifest, entries: Sequence[Entry]) -> None:
    there = {e.path for e in entries}
    problems = [
        Problem(f"components[{index}].path", f"the package has no file {shown(component.path)}")
        for index, component in enumerate(manifest.components)
        if component.path not in there
    ]
    if problems:
        raise ManifestInvalid(problems, plugin=manifest.id)


class Stager:
    """Copies one package into a new folder."""

    def __init__(self, fs: FsOps, caps: Caps, progress: ProgressHook | None) -> None:
        self._fs = fs
        self._budget = Budget(caps)
        self._progress = progress
        self._files = 0
        self._declared = 0

    def report(self, step: str, files_done: int | None = None) -> None:
        """Tell how far it is; all files are done where no count is given."""
        if self._progress is None:
            return
        self._progress(
            Progress(
                step=step,
                files_done=self._files if files_done is None else files_done,
                files=self._files,
                bytes_done=self._budget.total,
                bytes=self._declared,
            )
        )

    def copy(self, source: PackageSource, manifest: Manifest, manifest_data: bytes, tree: Path) -> list[FileRecord]:
        """Copy every file below ``tree``, which must not be there yet; its folders are not durable yet.

        Raises:
            ArchiveRefused: where a cap is passed, an entry is damaged or lies, or is an archive itself.
            NotWasm: where a component is none, or a ``.wasm`` file is not WebAssembly.
            SourceUnreadable: where the source changed meanwhile.
        """
        entries = source.entries()
        components = {component.path for component in manifest.components}
        self._files, self._declared = len(entries), sum(entry.size for entry in entries)
        self._fs.make_folder(tree)
        made = {""}
        records: list[FileRecord] = []
        for entry in entries:
            self.report("copy", len(records))
            self._make_folders(tree, entry.path, made)
            records.append(self._copy_file(source, entry, tree, is_component=entry.path in components))
        self.report("copy")
        copied = next(r for r in records if r.path == MANIFEST_NAME)
        if copied.sha256 != hashlib.sha256(manifest_data).hexdigest():
            raise SourceUnreadable(f"{MANIFEST_NAME} changed while the package was read")
        return sorted(records, key=lambda r: r.path)

    def stage(
        self,
        source: PackageSource,
        manifest: Manifest,
        manifest_data: bytes,
        tree: Path,
        install_id: str,
        installed_at_ms: int,
    ) -> Receipt:
        """Copy every file, add the receipt, and make all of it durable; raises as :meth:`copy` does."""
        files = self.copy(source, manifest, manifest_data, tree)
        receipt = Receipt(
            plugin_id=manifest.id,
            version=manifest.version,
            install_id=install_id,
            installed_at_ms=installed_at_ms,
            source=source.label,
            package_sha256=package_digest(files),
            files=tuple(files),
        )
        with self._fs.new_file(tree / RECEIPT_NAME) as file:
            file.write(receipt.to_json())
        self._make_durable(tree)
        return receipt

    def _make_durable(self, tree: Path) -> None:
        """Make the names in all folders durable, the innermost first."""
        for folder in _folders(tree):
            self._fs.sync_folder(folder)
        self._fs.sync_folder(tree.parent)

    def _make_folders(self, tree: Path, path: str, made: set[str]) -> None:
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            folder = "/".join(parts[:depth])
            if folder not in made:
                self._fs.make_folder(tree / folder)
                made.add(folder)

    def _copy_file(self, source: PackageSource, entry: Entry, tree: Path, *, is_component: bool) -> FileRecord:
        self._budget.start(entry.origin, entry.packed)
        digest = hashlib.sha256()
        size = 0
        head = b""
        with self._fs.new_file(tree / entry.path, program=entry.program) as file:
            for chunk in source.chunks(entry):
                self._budget.take(len(chunk))
                if len(head) < HEAD_BYTES:
                    head += chunk[: HEAD_BYTES - len(head)]
                    _refuse_archive(head, entry)
                size += len(chunk)
                digest.update(chunk)
                file.write(chunk)
        if is_component or entry.path.lower().endswith(".wasm"):
            _require_wasm(head, entry, is_component=is_component)
        return FileRecord(path=entry.path, size=size, sha256=digest.hexdigest(), program=entry.program)


def _folders(tree: Path) -> Iterator[Path]:
    for inner in sorted(tree.iterdir()):
        if inner.is_dir():
            yield from _folders(inner)
    yield tree


def _refuse_archive(head: bytes, entry: Entry) -> None:
    if is_archive_head(head):
        raise refusal("nested-archive", "the package has an archive in it", entry.origin)


def _require_wasm(head: bytes, entry: Entry, *, is_component: bool) -> None:
    if not head.startswith(_WASM_MAGIC) or len(head) < 8:
        raise NotWasm(f"{shown(entry.path)} is not binary WebAssembly", path=shown(entry.path))
    if is_component and head[6:8] != _COMPONENT_LAYER:
        raise NotWasm(f"{shown(entry.path)} is a core module, not a component", path=shown(entry.path))
