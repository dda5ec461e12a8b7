"""Zip archives that nobody thought of: mutated ones, and ones put together from odd parts."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stellatune_plugins.errors import ArchiveRefused, ManifestInvalid, NotWasm, SourceUnreadable
from stellatune_plugins.observe import EventBus
from stellatune_plugins.package import InstalledPlugin, InstallStore

EXAMPLES = 300 * max(1, int(os.environ.get("STELLATUNE_STRESS", "0")) // 10)

REFUSALS = (ArchiveRefused, ManifestInvalid, NotWasm, SourceUnreadable)

ODD_NAMES = st.sampled_from(
    [
        "plugin.json",
        "Plugin.json",
        "a",
        "A",
        "a/",
        "a/b",
        "../a",
        "/a",
        "c:a",
        "\\a",
        "a\0",
        "nul",
        "a.zip",
        "",
        "/",
        ".",
    ]
) | st.text(max_size=6)
MODES = st.sampled_from([0, 0o100644, 0o104755, 0o120777, 0o040755, 0o010644, 0o060600])

MUTATION = st.tuples(
    st.sampled_from(["set", "insert", "delete", "copy"]),
    st.floats(0, 1, exclude_max=True),
    st.binary(min_size=1, max_size=4),
)


def mutate(data: bytes, mutations: list[tuple[str, float, bytes]]) -> bytes:
    """The archive, changed here and there."""
    out = bytearray(data)
    for kind, where, payload in mutations:
        at = int(where * len(out))
        if kind == "set":
            out[at : at + len(payload)] = payload
        elif kind == "insert":
            out[at:at] = payload
        elif kind == "delete":
            del out[at : at + len(payload)]
        else:
            out[at:at] = out[max(0, at - 46) : at]
    return bytes(out)


def install(data: bytes) -> InstalledPlugin | None:
    """Install in a fresh home; ``None`` where the archive was refused as it should be. Checks that nothing leaks."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "package.zip").write_bytes(data)
        store = InstallStore(root / "plugins", EventBus())
        try:
            plugin: InstalledPlugin | None = store.install(root / "package.zip")
        except REFUSALS:
            assert store.scan() == type(store.scan())((), (), ())
            plugin = None
        if plugin is not None:
            assert store.verify(plugin.id) == ()
            assert_as_zipfile_reads(plugin, data)
        staging = root / "plugins/.staging"
        assert {p.name for p in root.iterdir()} <= {"package.zip", "plugins"}
        assert not staging.exists() or not list(staging.iterdir())
        return plugin


def assert_as_zipfile_reads(plugin: InstalledPlugin, data: bytes) -> None:
    """Whatever passes means the same to another reader: the same files with the same bytes."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        theirs = {i.filename: archive.read(i) for i in archive.infolist() if not i.is_dir()}
    ours = {record.path: plugin.read(record.path) for record in plugin.receipt.files}
    tops = {name.removesuffix("plugin.json") for name in theirs if name.endswith("plugin.json")}
    kept = {name: content for name, content in theirs.items() if not name.startswith("__MACOSX/")}
    assert any(ours == {n.removeprefix(top): c for n, c in kept.items()} for top in tops)


@pytest.fixture(scope="module")
def archives() -> list[bytes]:
    """Honest archives as zipfile writes them: stored, deflated, streamed with descriptors, in a top folder."""
    manifest = (
        b'{"schema_version": 1, "id": "a", "name": "A", "version": "1", "api_version": 1, "components": [{"id": "m",'
        b'"path": "a.wasm", "world": "stellatune:plugin/dsp-plugin@0.1.0",'
        b'"abilities": [{"kind": "dsp", "type_id": "x"}]}]}'
    )
    files = {"plugin.json": manifest, "a.wasm": b"\0asm\x0d\x00\x01\x00" + bytes(100), "d/e\u00e9.txt": b"text" * 40}

    class Stream(io.RawIOBase):
        """Cannot be rewound, so zipfile writes descriptors."""

        def __init__(self) -> None:
            self.data = b""

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.data += bytes(data)
            return len(bytes(data))

    written = []
    for method, top in ((zipfile.ZIP_STORED, ""), (zipfile.ZIP_DEFLATED, ""), (zipfile.ZIP_DEFLATED, "top/")):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as archive:
            for name, data in files.items():
                archive.writestr(top + name, data)
        written.append(buffer.getvalue())
    stream = Stream()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return [*written, stream.data]


@pytest.mark.parametrize("index", range(4), ids=["stored", "deflated", "top-folder", "streamed"])
def test_honest_archives_pass(archives: list[bytes], index: int) -> None:
    """What zipfile writes in any of its ways is installed, with the same bytes."""
    plugin = install(archives[index])

    assert plugin is not None
    assert [r.path for r in plugin.receipt.files] == ["a.wasm", "d/e\u00e9.txt", "plugin.json"]


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(index=st.integers(0, 3), mutations=st.lists(MUTATION, min_size=1, max_size=4))
def test_mutated_archives_are_installed_alike_or_refused(
    archives: list[bytes], index: int, mutations: list[tuple[str, float, bytes]]
) -> None:
    """A mutated archive is refused with one of four errors, or means the same to zipfile."""
    install(mutate(archives[index], mutations))


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(
        st.tuples(
            ODD_NAMES, st.binary(max_size=20), MODES, st.sampled_from([0, 8, 12]), st.sampled_from([None, 0, 1, 0x800])
        ),
        max_size=4,
    )
)
def test_archives_of_odd_parts_are_installed_alike_or_refused(make_kit: Any, parts: list[tuple[Any, ...]]) -> None:
    """The same for archives whose headers agree, with names, modes, methods and flags of every kind."""
    kit = make_kit().good()
    for name, data, mode, method, flags in parts:
        kit.add(name, data, mode=mode, method=method, flags=flags)
    install(kit.build())


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.binary(max_size=400), head=st.sampled_from([b"", b"PK\x03\x04", b"PK\x05\x06" + bytes(18)]))
def test_any_bytes_are_refused(data: bytes, head: bytes) -> None:
    """No bytes bring the reader down."""
    assert install(head + data) is None
