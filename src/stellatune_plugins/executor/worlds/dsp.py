"""World ``dsp-plugin``: one processor, method by method, and what it returns checked."""

from __future__ import annotations

import json
from typing import Any, Final

from stellatune_plugins.engine.values import Some
from stellatune_plugins.errors import ConfigRejected, GuestContract, PluginFailure, StellatuneError, ValueInvalid
from stellatune_plugins.executor.cell import Cell
from stellatune_plugins.executor.guest_text import clean
from stellatune_plugins.executor.messages import (
    ApplyConfig,
    Arguments,
    DescribeHotPath,
    DspArguments,
    ExportState,
    HotPath,
    ImportState,
    InstanceRequest,
    Nothing,
    Number,
    OutputChannels,
    Plan,
    PlanConfig,
    ProcessSamples,
    Samples,
    SupportedLayouts,
    Text,
    Value,
)
from stellatune_plugins.executor.names import DSP
from stellatune_plugins.executor.results import optional, unwrap
from stellatune_plugins.model import (
    AudioSpec,
    BufferLayout,
    ConfigUpdateMode,
    ConfigUpdatePlan,
    CoreModuleSpec,
    Frames,
    HotPathRole,
    SampleFormat,
)

MAX_CHANNELS: Final = 64
MAX_NAME: Final = 1_024
"""Characters of an export's name or a path."""
MAX_STATE_BYTES: Final = 512 * 1024
SAMPLE_BYTES: Final = 4
_PROCESSOR: Final = "[method]processor."


class DspInstance:
    """One ``dsp.processor`` in its cell.

    Args:
        cell: its home, enabled; nobody else uses it.
        arguments: the stream's shape.

    Raises:
        PluginFailure: the plugin refuses the stream.
        StellatuneError: the cell broke.
    """

    def __init__(self, cell: Cell, arguments: Arguments) -> None:
        self._cell = cell
        self._deadlines = cell.deadlines
        with cell.entered("dsp.create"):
            function = cell.function(DSP, "create")
            self._processor = unwrap(function(_audio_spec(arguments.spec), deadline=self._deadlines.create))
            self._describe = self._method("describe-hot-path")
            self._process = self._method("process-interleaved-f32")
            self._layouts = self._method("supported-layouts")
            self._channels = self._method("output-channels")
            self._plan = self._method("plan-config-update-json")
            self._apply = self._method("apply-config-update-json")
            self._export = self._method("export-state-json")
            self._import = self._method("import-state-json")
            self._close = self._method("close")
        self._closed = False
        self._output: int | None = None

    def call(self, request: InstanceRequest) -> Value:
        """Answer one request.

        Raises:
            GuestContract: what the guest returned cannot be; its cell is broken.
            PluginFailure: the plugin's own answer.
            ConfigRejected: the plugin refuses the configuration as an invalid argument.
            StellatuneError: the cell broke, or was broken before.
        """
        operation = str(request.__struct_config__.tag)
        with self._cell.entered(operation):
            return self._answer(request)

    def close(self) -> tuple[StellatuneError, ...]:
        """``close`` and the destructor, as far as the guest is sound; gives what went wrong. May be called again."""
        if self._closed:
            return ()
        self._closed = True
        try:
            with self._cell.entered("dsp.close"):
                self._close(self._processor, deadline=self._deadlines.drop)
            with self._cell.entered("dsp.drop"):
                self._processor.drop(deadline=self._deadlines.drop)
        except StellatuneError as error:
            return (error,)
        return ()

    def _method(self, name: str) -> Any:
        return self._cell.function(DSP, _PROCESSOR + name)

    def _answer(self, request: InstanceRequest) -> Value:  # noqa: PLR0911 - one case a request
        deadline = self._deadlines.call
        match request:
            case ProcessSamples(channels=channels, samples=samples):
                return self._processed(channels, samples)
            case DescribeHotPath(spec=spec):
                described = unwrap(self._describe(self._processor, _audio_spec(spec), deadline=deadline))
                return HotPath(_core_module(described))
            case SupportedLayouts():
                return Number(_layouts(self._layouts(self._processor, deadline=deadline)))
            case OutputChannels():
                return Number(self._output_channels())
            case PlanConfig(config_json=config):
                return Plan(_plan(unwrap(self._plan(self._processor, config, deadline=deadline))))
            case ApplyConfig(config_json=config):
                self._output = None
                with _refusals():
                    unwrap(self._apply(self._processor, config, deadline=deadline))
                return Nothing()
            case ExportState():
                return Text(_state(unwrap(self._export(self._processor, deadline=deadline))))
            case ImportState(state_json=state):
                self._output = None
                unwrap(self._import(self._processor, state, deadline=deadline))
                return Nothing()

    def _output_channels(self) -> int:
        channels: int = self._channels(self._processor, deadline=self._deadlines.call)
        if not 1 <= channels <= MAX_CHANNELS:
            raise GuestContract(f"output-channels gave {channels}, outside 1 to {MAX_CHANNELS}")
        self._output = channels
        return channels

    def _processed(self, channels: int, samples: bytes) -> Samples:
        frame = channels * SAMPLE_BYTES
        if not 1 <= channels <= MAX_CHANNELS or len(samples) % frame:
            raise ValueInvalid(f"{len(samples)} bytes are no whole frames of {channels} channels")
        # Asked again only where a configuration may have changed it: one guest call a block is enough.
        out = self._output if self._output is not None else self._output_channels()
        if not samples:
            return Samples(out, b"")
        answer = unwrap(self._process(self._processor, channels, samples, deadline=self._deadlines.process))
        wanted = len(samples) // frame * out * SAMPLE_BYTES
        if len(answer) != wanted:
            raise GuestContract(
                f"process gave {len(answer)} bytes for {len(samples) // frame} frames of {out} channels, not {wanted}"
            )
        return Samples(out, answer)


class _refusals:  # noqa: N801 - used as a statement
    """Turns a plugin's ``invalid-arg`` into what it means for a configuration."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, PluginFailure) and error.case == "invalid-arg":
            reason = error.message.removeprefix("invalid-arg").removeprefix(": ")
            raise ConfigRejected(reason or "the plugin refuses this configuration") from error


def _audio_spec(spec: AudioSpec) -> dict[str, int]:
    return {"sample-rate": spec.sample_rate, "channels": spec.channels}


def _layouts(bits: int) -> int:
    if bits == 0:
        raise GuestContract("supported-layouts gave no layout at all")
    return bits


def _plan(record: Any) -> ConfigUpdatePlan:
    reason = optional(record["reason"])
    return ConfigUpdatePlan(ConfigUpdateMode(record["mode"]), None if reason is None else clean(reason))


def _state(value: Any) -> str | None:
    text: str | None = optional(value)
    if text is None:
        return None
    if len(text) > MAX_STATE_BYTES or len(text.encode()) > MAX_STATE_BYTES:
        raise GuestContract(f"export-state-json gave more than {MAX_STATE_BYTES} bytes")
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GuestContract("export-state-json gave what is no JSON") from error
    return text


def _core_module(value: Any) -> CoreModuleSpec | None:
    if not isinstance(value, Some):
        return None
    record = value.value
    buffer = record["buffer"]
    names = [record[name] for name in ("wasm-rel-path", "memory-export", "init-export", "process-export")]
    path, memory, init, process = (_name(name) for name in names)
    reset, drop = (_optional_name(record[name]) for name in ("reset-export", "drop-export"))
    return CoreModuleSpec(
        role=HotPathRole(record["role"]),
        wasm_rel_path=path,
        abi_version=record["abi-version"],
        memory_export=memory,
        init_export=init,
        process_export=process,
        reset_export=reset,
        drop_export=drop,
        buffer=BufferLayout(
            in_offset=buffer["in-offset"],
            out_offset=optional(buffer["out-offset"]),
            max_frames=Frames(buffer["max-frames"]),
            channels=buffer["channels"],
            sample_format=SampleFormat(buffer["sample-format"]),
            interleaved=buffer["interleaved"],
        ),
    )


def _name(text: str) -> str:
    if not 1 <= len(text) <= MAX_NAME:
        raise GuestContract(f"describe-hot-path gave a name of {len(text)} characters")
    return text


def _optional_name(value: Any) -> str | None:
    text = optional(value)
    return None if text is None else _name(text)


def make(cell: Cell, arguments: Arguments) -> DspInstance:
    """A processor.

    Raises:
        ValueInvalid: the arguments are those of another world.
    """
    if not isinstance(arguments, DspArguments):
        raise ValueInvalid(f"a dsp processor cannot be made from {type(arguments).__name__}")
    return DspInstance(cell, arguments)
