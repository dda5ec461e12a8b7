"""Names of the WIT package's interfaces, as components export them."""

from __future__ import annotations

from typing import Final

from stellatune_plugins.contract import WIT_PACKAGE

_PACKAGE, _, _VERSION = WIT_PACKAGE.partition("@")


def interface(name: str) -> str:
    """The full name: ``stellatune:plugin/dsp@0.1.0``."""
    return f"{_PACKAGE}/{name}@{_VERSION}"


LIFECYCLE: Final = interface("lifecycle")
DSP: Final = interface("dsp")
SIDECAR: Final = interface("sidecar")
