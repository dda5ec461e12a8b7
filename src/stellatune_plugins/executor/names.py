"""Names of the WIT package's interfaces, as components export them."""

from __future__ import annotations

from typing import Final

from stellatune_plugins.contract import WIT_PACKAGE
from stellatune_plugins.model import AbilityKind

_PACKAGE, _, _VERSION = WIT_PACKAGE.partition("@")


def interface(name: str) -> str:
    """The full name: ``stellatune:plugin/dsp@0.1.0``."""
    return f"{_PACKAGE}/{name}@{_VERSION}"


def world_kind(world: str) -> AbilityKind | None:
    """The kind of ability that a world (``stellatune:plugin/dsp-plugin@0.1.0``) is for; ``None`` for a foreign one."""
    name = world.partition("/")[2].partition("@")[0]
    return next((kind for kind in AbilityKind if kind.world_name == name), None)


LIFECYCLE: Final = interface("lifecycle")
DECODER: Final = interface("decoder")
SOURCE: Final = interface("source")
LYRICS: Final = interface("lyrics")
DSP: Final = interface("dsp")
OUTPUT_SINK: Final = interface("output-sink")
HOST_STREAM: Final = interface("host-stream")
HTTP_CLIENT: Final = interface("http-client")
SIDECAR: Final = interface("sidecar")
