"""One hot-path module: what it promises, checked against what it is; and an initialised instance of it."""

from __future__ import annotations

import msgspec

from stellatune_plugins.contract import hot_path_abi as abi
from stellatune_plugins.engine.core import PAGE, CoreInstance, CoreModule, FunctionType, MemoryType, RawCall
from stellatune_plugins.engine.store import GuestStore
from stellatune_plugins.errors import (
    AbiVersionMismatch,
    ConfigRejected,
    GuestContract,
    HotPathRejected,
    StageFailed,
    StellatuneError,
)
from stellatune_plugins.hotpath.refusals import refused_imports
from stellatune_plugins.hotpath.settings import HotPathSettings
from stellatune_plugins.model import CoreModuleSpec, Frames, HotPathRole, SampleFormat

_U32_END = 1 << 32
_SAMPLE_ALIGNMENT = 4


class Regions(msgspec.Struct, frozen=True):
    """Where a stage's blocks lie in its memory, in bytes. ``output == input`` means in place."""

    input: int
    output: int
    size: int
    max_frames: int


def check_spec(spec: CoreModuleSpec, module: CoreModule, *, channels: int, settings: HotPathSettings) -> Regions:
    """Check a dsp stage's description against the module's types: everything that needs no instance.

    Raises:
        AbiVersionMismatch: another version of the ABI.
        HotPathRejected: any other breach; ``details['rule']`` names it.
    """
    if spec.abi_version != abi.ABI_VERSION:
        raise AbiVersionMismatch(
            f"the core module speaks version {spec.abi_version} of the hot-path ABI, this host {abi.ABI_VERSION}",
            rule="abi-version",
        )
    if spec.role is not HotPathRole.DSP_TRANSFORM:
        raise HotPathRejected(f"the role is {spec.role}, not {HotPathRole.DSP_TRANSFORM}", rule="role")
    _check_exports(spec, module)
    return _check_buffer(spec, channels, settings)


def _check_exports(spec: CoreModuleSpec, module: CoreModule) -> None:
    memory = module.exports.get(spec.memory_export)
    if not isinstance(memory, MemoryType):
        raise HotPathRejected(f"there is no exported memory {spec.memory_export!r}", rule="memory-export")
    # A list, since one export may be named for two purposes, and then has to fit both.
    wanted = [(spec.init_export, abi.INIT_SIGNATURE), (spec.process_export, abi.PROCESS_SIGNATURE)]
    if spec.reset_export is not None:
        wanted.append((spec.reset_export, abi.RESET_SIGNATURE))
    if spec.drop_export is not None:
        wanted.append((spec.drop_export, abi.DROP_SIGNATURE))
    extensions = (
        (abi.CONFIG_EXPORT, abi.CONFIG_SIGNATURE),
        (abi.LATENCY_EXPORT, abi.LATENCY_SIGNATURE),
        (abi.TAIL_EXPORT, abi.TAIL_SIGNATURE),
    )
    wanted += [(name, signature) for name, signature in extensions if name in module.exports]
    for name, (params, results) in wanted:
        found, kind = module.exports.get(name), FunctionType(params, results)
        if found is None:
            raise HotPathRejected(f"there is no export {name!r}", rule="export-missing")
        if found != kind:
            raise HotPathRejected(f"export {name!r} is {found}, not {kind}", rule="signature")


def _check_buffer(spec: CoreModuleSpec, channels: int, settings: HotPathSettings) -> Regions:
    buffer = spec.buffer
    if buffer.sample_format is not SampleFormat.F32LE:
        raise HotPathRejected(f"samples are {buffer.sample_format}, a dsp stage takes f32le", rule="sample-format")
    if not buffer.interleaved:
        raise HotPathRejected("the buffer is planar, blocks are interleaved", rule="interleaved")
    if buffer.channels != channels:
        raise HotPathRejected(f"the buffer has {buffer.channels} channels, not {channels}", rule="channels")
    if not 1 <= buffer.max_frames <= settings.max_block_frames:
        raise HotPathRejected(
            f"max-frames is {buffer.max_frames}, outside 1 to {settings.max_block_frames}", rule="max-frames"
        )
    size = buffer.max_frames * channels * buffer.sample_format.sample_bytes
    output = buffer.in_offset if buffer.out_offset is None else buffer.out_offset
    for name, offset in (("in-offset", buffer.in_offset), ("out-offset", output)):
        if offset % _SAMPLE_ALIGNMENT:
            raise HotPathRejected(f"{name} {offset} is not aligned to {_SAMPLE_ALIGNMENT} bytes", rule="alignment")
        if offset + size > _U32_END:
            raise HotPathRejected(f"{name} {offset} and {size} bytes leave the address space", rule="bounds")
    if output != buffer.in_offset and abs(output - buffer.in_offset) < size:
        raise HotPathRejected("the input and output regions overlap in part", rule="overlap")
    return Regions(buffer.in_offset, output, size, buffer.max_frames)


# The host's page in the guest's memory. Frames and flags are adjacent, so that one store clears both.
_OUT_FRAMES = 0
_OUT_CONTEXT = 64
_INIT_ARGS = 128
_CONFIG = 1024


class HotInstance:
    """An initialised instance of a hot-path module, in the chain's Store.

    The ABI does not say where arguments lie, so the host grows the memory by a page of its own before ``init``.

    Args:
        store: the chain's Store.
        module: the compiled module.
        spec: what the component said about it, already checked by :func:`check_spec`.
        regions: what that check gave.
        sample_rate: hertz.

    Raises:
        HotPathRejected: the regions are not inside the real memory, or no scratch page can be had.
        StageFailed: ``init`` refused.
        GuestTrap: guest code trapped.
        CallDeadline: guest code ran too long.
    """

    def __init__(
        self,
        store: GuestStore,
        module: CoreModule,
        spec: CoreModuleSpec,
        regions: Regions,
        *,
        sample_rate: int,
        settings: HotPathSettings,
    ) -> None:
        self.spec = spec
        self.regions = regions
        self._settings = settings
        self._exports = module.exports
        imports = refused_imports(store, module, deadline=settings.instantiate_deadline)
        self.instance = CoreInstance(store, module, imports, deadline=settings.instantiate_deadline)
        self.memory = self.instance.memory(spec.memory_export)
        self._check_memory()
        self.scratch = self._grow(1)
        self._config_room = (self.scratch + _CONFIG, PAGE - _CONFIG)
        self.context = self._init(sample_rate)

    def _check_memory(self) -> None:
        size = self.memory.size()
        for name, offset in (("input", self.regions.input), ("output", self.regions.output)):
            if offset + self.regions.size > size:
                raise HotPathRejected(
                    f"the {name} region of {self.regions.size} bytes at {offset} leaves the memory of {size} bytes",
                    rule="bounds",
                )

    def _grow(self, pages: int) -> int:
        try:
            return self.memory.grow(pages)
        except StellatuneError as error:
            raise HotPathRejected("the memory cannot grow by a page for the host", rule="scratch") from error

    def _init(self, sample_rate: int) -> int:
        args = abi.InitArgs(
            role=self.spec.role,
            sample_rate=sample_rate,
            channels=self.spec.buffer.channels,
            sample_format=self.spec.buffer.sample_format,
            max_frames=self.regions.max_frames,
            in_offset=self.regions.input,
            out_offset=self.regions.output,
            buffer_bytes=self.regions.size,
        )
        self.memory.write(self.scratch + _INIT_ARGS, args.pack())
        code = self._call(
            self.spec.init_export,
            self.scratch + _INIT_ARGS,
            self.scratch + _OUT_CONTEXT,
            deadline=self._settings.init_deadline,
            operation="hot.init",
        )
        if code:
            raise StageFailed(f"init answered {abi.ErrorCode.describe(code)}", operation="hot.init", code_number=code)
        return int.from_bytes(self.memory.read(self.scratch + _OUT_CONTEXT, 4), "little")

    def _call(self, export: str, *args: int, deadline: float, operation: str) -> int:
        return self.instance.call_i32(export, *args, deadline=deadline, operation=operation)

    @property
    def takes_config(self) -> bool:
        """Whether a new configuration can be applied to the running instance."""
        return abi.CONFIG_EXPORT in self._exports

    def configure(self, config_json: str) -> None:
        """Apply the effective configuration, between blocks.

        Raises:
            ConfigRejected: the module refused it; the old one is still in force.
        """
        data = config_json.encode()
        if len(data) > self._settings.max_config_bytes:
            raise ConfigRejected(f"a configuration of {len(data)} bytes is too long", operation="hot.config")
        where = self._room_for(len(data))
        self.memory.write(where, data)
        code = self._call(
            abi.CONFIG_EXPORT,
            self.context,
            where,
            len(data),
            deadline=self._settings.config_deadline,
            operation="hot.config",
        )
        if code:
            raise ConfigRejected(
                f"the core module refused its configuration: {abi.ErrorCode.describe(code)}", operation="hot.config"
            )

    def _room_for(self, size: int) -> int:
        """Where a configuration goes: the host's page, or pages of its own that are kept for the next one."""
        if size > self._config_room[1]:
            pages = -(-size // PAGE)
            try:
                self._config_room = (self.memory.grow(pages), pages * PAGE)
            except StellatuneError as error:
                raise ConfigRejected(
                    f"the module's memory has no room for a configuration of {size} bytes", operation="hot.config"
                ) from error
        return self._config_room[0]

    def latency(self, sample_rate: int) -> Frames:
        """Frames that the output lags the input, 0 where the module does not say."""
        if abi.LATENCY_EXPORT not in self._exports:
            return Frames(0)
        frames = self._query(abi.LATENCY_EXPORT, "hot.latency")
        if not 0 <= frames <= self._settings.max_latency_seconds * sample_rate:
            raise GuestContract(f"a latency of {frames} frames is not plausible", operation="hot.latency")
        return Frames(frames)

    def tail(self, sample_rate: int) -> Frames | None:
        """Frames that still come after the input ended, ``None`` for a tail without end."""
        if abi.TAIL_EXPORT not in self._exports:
            return Frames(0)
        frames = self._query(abi.TAIL_EXPORT, "hot.tail")
        if frames == -1:
            return None
        if not 0 <= frames <= self._settings.max_tail_seconds * sample_rate:
            raise GuestContract(f"a tail of {frames} frames is not plausible", operation="hot.tail")
        return Frames(frames)

    def _query(self, export: str, operation: str) -> int:
        return self._call(export, self.context, deadline=self._settings.query_deadline, operation=operation)

    def reset(self) -> bool:
        """Clear the audio state; ``False`` where the module has no such export or refused."""
        if self.spec.reset_export is None:
            return False
        return not self._call(
            self.spec.reset_export, self.context, 0, deadline=self._settings.reset_deadline, operation="hot.reset"
        )

    def drop(self) -> None:
        """Let the guest end its context; the Store frees the rest."""
        if self.spec.drop_export is not None:
            self._call(self.spec.drop_export, self.context, deadline=self._settings.drop_deadline, operation="hot.drop")

    def process_call(self) -> RawCall:
        """A prepared ``process``, for callers outside a chain; arguments are filled in but for ``frames`` (slot 2)."""
        call = self.instance.call(self.spec.process_export, "hot.process")
        call.args[0], call.args[4], call.args[6] = self.context, self.scratch + _OUT_FRAMES, self.scratch + 4
        return call
