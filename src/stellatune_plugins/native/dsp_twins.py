"""Native twins of the reference DSP plugins: the same C sources, compiled for this machine at development time.

They serve comparison and benchmarks. ``STELLATUNE_TWINS`` names the folder with ``libst_<name>.so``; without it they
say that they are unavailable. The C interface is ``plugins/include/st_glue_twin.h``.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from stellatune_plugins.errors import ConfigRejected, InstanceDead, LayoutUnsupported, NativePluginFailed
from stellatune_plugins.model import (
    AudioSpec,
    Block,
    ConfigUpdateMode,
    ConfigUpdatePlan,
    CoreModuleSpec,
    Frames,
    Layouts,
)
from stellatune_plugins.native.records import NativePluginUnavailable

FOLDER_VARIABLE: Final = "STELLATUNE_TWINS"
MAX_FRAMES: Final = 4096
"""``ST_MAX_FRAMES``: larger blocks are cut."""
_STATE_BYTES: Final = 65536
_ERROR_BYTES: Final = 512

_U32 = ctypes.c_uint32
_I32 = ctypes.c_int32
_PTR = ctypes.c_void_p
_SIGNATURES: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "st_twin_id": (ctypes.c_char_p, ()),
    "st_twin_supported_layouts": (_U32, ()),
    "st_twin_create": (_PTR, (_U32, _U32, _U32)),
    "st_twin_destroy": (None, (_PTR,)),
    "st_twin_config": (_I32, (_PTR, ctypes.c_char_p, _U32)),
    "st_twin_error": (_U32, (_PTR, ctypes.c_char_p, _U32)),
    "st_twin_export": (_U32, (_PTR, ctypes.c_char_p, _U32)),
    "st_twin_process": (_I32, (_PTR, _PTR, _PTR, _U32)),
    "st_twin_reset": (None, (_PTR,)),
    "st_twin_latency": (_U32, (_PTR,)),
    "st_twin_tail": (_I32, (_PTR,)),
}


def library_path(name: str) -> Path:
    """Where the twin's library lies.

    Raises:
        NativePluginUnavailable: no folder was named, or it has no such library.
    """
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        raise NativePluginUnavailable(f"native twins are built for development only; {FOLDER_VARIABLE} names no folder")
    path = Path(folder) / f"libst_{name}.so"
    if not path.is_file():
        raise NativePluginUnavailable(f"{path} is not there; `make plugins` builds it")
    return path


class TwinDsp:
    """One twin's library.

    Raises:
        NativePluginFailed: the library does not load or is another plugin's.
    """

    def __init__(self, plugin_id: str, path: Path) -> None:
        self.plugin_id = plugin_id
        try:
            self._library = ctypes.CDLL(str(path.resolve()))  # CDLL and not PyDLL: a block is long enough to let go
            for name, (result, arguments) in _SIGNATURES.items():
                function = getattr(self._library, name)
                function.restype, function.argtypes = result, list(arguments)
        except (OSError, AttributeError) as error:
            raise NativePluginFailed(str(error), plugin=plugin_id, operation="native.load") from error
        found = (self._library.st_twin_id() or b"").decode("ascii", "replace")
        if found != plugin_id:
            raise NativePluginFailed(f"{path} is the twin of {found}", plugin=plugin_id, operation="native.load")

    def create(self, spec: AudioSpec) -> TwinProcessor:
        """A processor for a stream.

        Raises:
            LayoutUnsupported: the twin does not take the spec.
        """
        return TwinProcessor(self.plugin_id, self._library, spec)


class TwinProcessor:
    """One instance. Blocks that it gives are valid until the next call."""

    def __init__(self, plugin_id: str, library: ctypes.CDLL, spec: AudioSpec) -> None:
        self._plugin_id = plugin_id
        self._library = library
        self._spec = spec
        self._run = library.st_twin_process
        self._out = np.empty((MAX_FRAMES, spec.channels), np.float32)
        self._handle: int | None = self._make()

    def process(self, block: Block) -> Block:
        handle = self._alive()
        if block.dtype != np.float32 or block.ndim != 2 or block.shape[1] != self._spec.channels:
            raise NativePluginFailed(
                f"a block of {block.dtype} {block.shape} is not what the processor was made for",
                plugin=self._plugin_id,
                operation="dsp.process",
            )
        frames = len(block)
        if frames > len(self._out):
            self._out = np.empty((frames, self._spec.channels), np.float32)
        block = np.ascontiguousarray(block)
        source, target = block.ctypes.data, self._out.ctypes.data
        step = 4 * self._spec.channels
        for at in range(0, frames, MAX_FRAMES):
            self._run(handle, source + at * step, target + at * step, min(MAX_FRAMES, frames - at))
        return self._out[:frames]

    def supported_layouts(self) -> Layouts:
        return Layouts(self._library.st_twin_supported_layouts())

    def output_channels(self) -> int:
        return self._spec.channels

    def describe_hot_path(self, spec: AudioSpec) -> CoreModuleSpec | None:  # noqa: ARG002 - the interface's name
        return None

    def latency(self) -> Frames:
        return Frames(self._library.st_twin_latency(self._alive()))

    def tail(self) -> Frames | None:
        frames = self._library.st_twin_tail(self._alive())
        return None if frames < 0 else Frames(frames)

    def plan_config(self, config_json: str) -> ConfigUpdatePlan:
        """Tried on an instance of its own: a change of latency cannot be made while sound runs."""
        trial = self._make()
        try:
            refusal = self._configure(trial, config_json)
            if refusal is not None:
                return ConfigUpdatePlan(ConfigUpdateMode.REJECT, refusal)
            if self._library.st_twin_latency(trial) != self.latency():
                return ConfigUpdatePlan(ConfigUpdateMode.RECREATE, "the change alters the latency")
            return ConfigUpdatePlan(ConfigUpdateMode.HOT_APPLY)
        finally:
            self._library.st_twin_destroy(trial)

    def apply_config(self, config_json: str) -> None:
        refusal = self._configure(self._alive(), config_json)
        if refusal is not None:
            raise ConfigRejected(refusal, plugin=self._plugin_id, operation="dsp.config")

    def export_state(self) -> str | None:
        return self._text(self._library.st_twin_export, self._alive(), _STATE_BYTES)

    def import_state(self, state_json: str) -> None:
        self.apply_config(state_json)

    def reset(self) -> None:
        """Forget all sound, keep the configuration."""
        self._library.st_twin_reset(self._alive())

    def close(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            self._library.st_twin_destroy(handle)

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self.close()

    def _make(self) -> int:
        handle = self._library.st_twin_create(self._spec.sample_rate, self._spec.channels, MAX_FRAMES)
        if not handle:
            raise LayoutUnsupported(f"{self._spec} is not supported", plugin=self._plugin_id, operation="dsp.create")
        return int(handle)

    def _alive(self) -> int:
        if self._handle is None:
            raise InstanceDead("the processor is closed", plugin=self._plugin_id, operation="dsp.process")
        return self._handle

    def _configure(self, handle: int, config_json: str) -> str | None:
        data = config_json.encode()
        if self._library.st_twin_config(handle, data, len(data)) == 0:
            return None
        return self._text(self._library.st_twin_error, handle, _ERROR_BYTES) or "the configuration was refused"

    @staticmethod
    def _text(function: Callable[..., int], handle: int, capacity: int) -> str:
        buffer = ctypes.create_string_buffer(capacity)
        length = min(function(handle, buffer, capacity), capacity)
        return buffer.raw[:length].decode("utf-8", "replace")


def _make(name: str) -> TwinDsp:
    return TwinDsp(f"dev.stellatune.{name}", library_path(name))


def gain() -> TwinDsp:
    """Entry point."""
    return _make("gain")


def parametric_eq() -> TwinDsp:
    """Entry point."""
    return _make("parametric-eq")


def limiter() -> TwinDsp:
    """Entry point."""
    return _make("limiter")


def reverb() -> TwinDsp:
    """Entry point."""
    return _make("reverb")


def crossfeed() -> TwinDsp:
    """Entry point."""
    return _make("crossfeed")
