"""From what the user asked for to a chain: resolve, configure, negotiate, fuse."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Sequence

import msgspec

from stellatune_plugins.contract import DspProcessor
from stellatune_plugins.engine.core import CoreModule
from stellatune_plugins.errors import (
    CallDeadline,
    CompileFailed,
    CompileLimit,
    GuestContract,
    GuestTrap,
    HookFailed,
    HotPathRejected,
    InstanceDead,
    InstantiateFailed,
    LayoutUnsupported,
    NativePluginFailed,
    NotWasm,
    PluginFailure,
    StageFailed,
    StellatuneError,
    WasmInvalid,
    WorldMismatch,
)
from stellatune_plugins.executor import effective_config
from stellatune_plugins.hotpath import FusedChain, HotPathSettings, HotStage, Mapping
from stellatune_plugins.model import (
    AbilityKind,
    AudioSpec,
    Bypass,
    CoreModuleSpec,
    Frames,
    RuntimeKind,
    StagePath,
    StageReport,
)
from stellatune_plugins.observe import EventBus
from stellatune_plugins.observe.events import StageBypassed, StageFellBack
from stellatune_plugins.registry.catalog import Resolved
from stellatune_plugins.registry.runtime import OpenedDsp, PluginRuntime
from stellatune_plugins.session import channel_map
from stellatune_plugins.session.chain import AbsentNode, Closes, FusedNode, HostNode, Node, SessionChain
from stellatune_plugins.session.control import AbsentControl, HostControl, HotControl, StageControl
from stellatune_plugins.session.host_stage import HostStage
from stellatune_plugins.session.plugin_calls import calling
from stellatune_plugins.session.processor_group import MAX_CHANNELS, plausible
from stellatune_plugins.session.stage_journal import StageIdentity

_log = logging.getLogger(__name__)

# A plugin's own faults are bypassed. Everything else stops the session before it starts: what the user can correct
# (no such plugin, a refused configuration), and what would be the host's own defect.
PLUGINS_FAULTS = (
    CallDeadline,
    CompileFailed,
    CompileLimit,
    GuestContract,
    GuestTrap,
    HookFailed,
    HotPathRejected,
    InstanceDead,
    InstantiateFailed,
    NativePluginFailed,
    NotWasm,
    PluginFailure,
    StageFailed,
    WasmInvalid,
    WorldMismatch,
)

_REFUSALS = {"unsupported", "invalid-arg"}
"""Cases with which ``create`` may refuse a channel count."""


class StageRequest(msgspec.Struct, frozen=True):
    """A stage as the user asked for it. ``config_json`` lies over the plugin's defaults."""

    plugin: str
    type_id: str | None = None
    config_json: str | None = None


@dataclasses.dataclass(slots=True)
class _Stage:
    """A stage on its way into the chain."""

    index: int
    found: Resolved
    request: StageRequest
    config_json: str | None
    spec: AudioSpec
    mapping: Mapping
    processor: DspProcessor
    output_channels: int
    hot: HotStage | None = None
    host: HostStage | None = None
    """Set where there is no hot path; it owns ``processor``, then."""
    fallback: str | None = None

    def remember(self, config_json: str | None) -> str | None:
        """What the user wants from now on; gives what they wanted before."""
        before = self.request.config_json
        self.request = msgspec.structs.replace(self.request, config_json=config_json)
        return before


class ChainBuilder:
    """Makes chains for streams of any shape from one list of requests.

    Args:
        runtime: where plugins come from.
        requests: the stages in order.
        bus: where events go.
        settings: limits of the hot path.
        strict: a plugin that cannot be started fails the session instead of being bypassed.
    """

    def __init__(
        self,
        runtime: PluginRuntime,
        requests: Sequence[StageRequest],
        *,
        bus: EventBus,
        settings: HotPathSettings | None = None,
        strict: bool = False,
    ) -> None:
        self._runtime = runtime
        self._requests = tuple(requests)
        self._bus = bus
        self._settings = settings or HotPathSettings()
        self._strict = strict

    def __call__(self, spec: AudioSpec) -> SessionChain:
        """A fresh chain for a stream of this shape.

        Raises:
            AbilityNotFound, ConfigRejected, LayoutUnsupported: the request cannot be met.
            StellatuneError: a plugin cannot be started, and the builder is strict.
        """
        with contextlib.ExitStack() as undo:
            stages: list[_Stage | AbsentNode] = []
            channels = spec.channels
            for index, request in enumerate(self._requests):
                stage = self._start(index, request, AudioSpec(spec.sample_rate, channels), undo)
                stages.append(stage)
                if isinstance(stage, _Stage):
                    channels = stage.output_channels
            fused = self._fuse(stages, spec.sample_rate, undo)
            nodes, owned, controls = self._nodes(stages, fused, undo)
            undo.pop_all()
        return SessionChain(
            nodes, input_spec=spec, output_spec=AudioSpec(spec.sample_rate, channels), owned=owned, controls=controls
        )

    # --- one stage --------------------------------------------------------------------------------------------------

    def _start(
        self, index: int, request: StageRequest, spec: AudioSpec, undo: contextlib.ExitStack
    ) -> _Stage | AbsentNode:
        found = self._runtime.catalog.find(AbilityKind.DSP, request.plugin, request.type_id)
        try:
            stage = self._negotiate(index, found, request, spec)
            undo.callback(_end, stage.processor)
            if stage.hot is None:
                # Now, since the next stage is made for as many channels as this one really gives.
                self._call_by_host(stage, undo)
        except PLUGINS_FAULTS as error:
            error.at(plugin=found.key.plugin_id, component=found.key.component_id, capability=found.capability)
            if self._strict:
                raise
            return self._absent(index, found, error)
        return stage

    def _negotiate(self, index: int, found: Resolved, request: StageRequest, spec: AudioSpec) -> _Stage:
        refusals = []
        for mapping, channels in channel_map.candidates(spec.channels):
            try:
                opened = self._open(found, request, AudioSpec(spec.sample_rate, channels))
            except PluginFailure as error:
                if error.case not in _REFUSALS:
                    raise
                refusals.append(f"{channels} ch: {error.message}")
                continue
            processor = opened.processor
            try:
                with calling(found.runtime, found.key.plugin_id, "dsp.negotiate"):
                    supported = processor.supported_layouts().supports(channels)
                    width = plausible("output width", processor.output_channels(), 1, MAX_CHANNELS) if supported else 0
                if supported and (mapping is Mapping.DIRECT or width == channels):
                    width = width if mapping is Mapping.DIRECT else spec.channels
                    stage = _Stage(index, found, request, opened.config_json, spec, mapping, processor, width)
                    self._look_for_hot_path(stage, opened)
                    return stage
            except BaseException:
                _end(processor)
                raise
            _end(processor)
            refusals.append(f"{channels} ch: " + (f"gives {width}" if supported else "not among its layouts"))
        raise LayoutUnsupported(
            f"a stream of {spec} cannot be brought to the stage ({'; '.join(refusals)})",
            plugin=found.key.plugin_id,
            component=found.key.component_id,
            capability=found.capability,
            operation="dsp.negotiate",
        )

    def _open(self, found: Resolved, request: StageRequest, spec: AudioSpec) -> OpenedDsp:
        with calling(found.runtime, found.key.plugin_id, "dsp.create"):
            return self._runtime.open_dsp(
                found.key.plugin_id, spec, type_id=found.key.type_id, config_json=request.config_json
            )

    def _look_for_hot_path(self, stage: _Stage, opened: OpenedDsp) -> None:
        """Find the core module, or the reason to do without."""
        if opened.no_hot_path is not None:
            self._fall_back(stage, PluginFailure("unsupported", opened.no_hot_path))
        source = opened.hot_path
        if source is None:
            return
        if stage.output_channels != stage.spec.channels:
            self._fall_back(stage, LayoutUnsupported("a hot path cannot change the number of channels"))
            return
        path = source.spec.wasm_rel_path
        try:
            code = self._runtime.code.load_module(source.package.read(path), path=path, plugin=source.package.id)
        except StellatuneError as error:
            self._fall_back(stage, error)
            return
        stage.hot = self._hot_stage(stage, CoreModule(code), source.spec)

    @staticmethod
    def _hot_stage(stage: _Stage, module: CoreModule, description: CoreModuleSpec) -> HotStage:
        key = stage.found.key
        return HotStage(
            plugin=key.plugin_id,
            type_id=key.type_id,
            component=key.component_id,
            module=module,
            spec=description,
            channels=stage.spec.channels,
            config_json=stage.config_json or "{}",
            mapping=stage.mapping,
        )

    def _fall_back(self, stage: _Stage, error: StellatuneError) -> None:
        stage.hot = None
        stage.fallback = f"{error.code}: {error.message}"
        self._bus.emit(
            StageFellBack(plugin=stage.found.key.plugin_id, stage=stage.index, code=error.code, reason=error.message)
        )

    def _absent(self, index: int, found: Resolved, error: StellatuneError) -> AbsentNode:
        key = found.key
        self._bus.emit(
            StageBypassed(plugin=key.plugin_id, stage=index, at_frame=0, code=error.code, reason=error.message)
        )
        return AbsentNode(
            StageReport(
                index=index,
                plugin=key.plugin_id,
                type_id=key.type_id,
                runtime=found.runtime,
                path=StagePath.NATIVE if found.runtime is RuntimeKind.NATIVE else StagePath.COMPONENT,
                seconds=0.0,
                frames=0,
                latency=Frames(0),
                tail=Frames(0),
                mapping=Mapping.DIRECT.value,
                bypasses=(Bypass(at_frame=0, code=error.code, reason=error.message),),
            )
        )

    # --- all stages -------------------------------------------------------------------------------------------------

    def _fuse(
        self, stages: Sequence[_Stage | AbsentNode], sample_rate: int, undo: contextlib.ExitStack
    ) -> FusedChain | None:
        """All hot stages in one Store; one that cannot be prepared takes the component path instead."""
        while True:
            hot = [s for s in stages if isinstance(s, _Stage) and s.hot is not None]
            if not hot:
                return None
            try:
                fused = FusedChain(
                    self._runtime.engine,
                    [stage.hot for stage in hot if stage.hot is not None],
                    sample_rate=sample_rate,
                    settings=self._settings,
                    bus=self._bus,
                    index_of=[stage.index for stage in hot],
                )
            except StellatuneError as error:
                guilty = next((s for s in hot if s.index == error.details.get("stage")), None)
                if guilty is None:
                    raise
                self._fall_back(guilty, error)
                continue
            undo.callback(fused.close)
            return fused

    def _nodes(
        self, stages: Sequence[_Stage | AbsentNode], fused: FusedChain | None, undo: contextlib.ExitStack
    ) -> tuple[list[Node], list[Closes], list[StageControl]]:
        nodes: list[Node] = []
        owned: list[Closes] = []
        controls: list[StageControl] = []
        position = 0
        for stage in stages:
            if isinstance(stage, AbsentNode):
                nodes.append(stage)
                controls.append(AbsentControl(stage.report.plugin))
            elif stage.hot is not None and fused is not None:
                last = nodes[-1] if nodes else None
                if isinstance(last, FusedNode):
                    nodes[-1] = FusedNode(fused, last.first, position + 1)
                else:
                    nodes.append(FusedNode(fused, position, position + 1))
                config = stage.config_json or "{}"
                controls.append(HotControl(fused, position, stage.processor, self._effective(stage), config))
                position += 1
                owned.append(stage.processor)
            else:
                node = self._host_node(stage, undo)
                nodes.append(node)
                if isinstance(node, HostNode):
                    owned.append(node.stage)
                    controls.append(HostControl(node.stage, self._effective(stage), stage.remember))
                else:
                    controls.append(AbsentControl(node.report.plugin))
        if fused is not None:
            owned.append(fused)
        return nodes, owned, controls

    @staticmethod
    def _effective(stage: _Stage) -> Callable[[str], str]:
        """What the plugin gets when the user gives it some values."""
        found = stage.found

        def effective(user_json: str) -> str:
            config = effective_config(
                user_json,
                default_json=found.default_config_json,
                schema_json=found.config_schema_json,
                plugin=found.key.plugin_id,
                capability=found.capability,
            )
            return user_json if config is None else config

        return effective

    def _host_node(self, stage: _Stage, undo: contextlib.ExitStack) -> HostNode | AbsentNode:
        try:
            return HostNode(stage.host or self._call_by_host(stage, undo))
        except PLUGINS_FAULTS as error:
            if self._strict:
                raise
            return self._absent(stage.index, stage.found, error)

    def _call_by_host(self, stage: _Stage, undo: contextlib.ExitStack) -> HostStage:
        """Make what drives a stage without a hot path; where that fails, its processors are ended."""
        key = stage.found.key
        make = self._maker(stage)
        processors = [stage.processor]
        if stage.mapping is Mapping.PER_CHANNEL:
            _end(stage.processor)  # it was there to negotiate
            processors = make()
        stage.host = HostStage(
            StageIdentity(stage.index, key.plugin_id, key.type_id, stage.found.runtime, stage.fallback),
            make,
            spec=stage.spec,
            mapping=stage.mapping,
            bus=self._bus,
            settings=self._settings,
            processors=processors,
            config_json=stage.config_json,
        )
        undo.callback(stage.host.close)
        return stage.host

    def _maker(self, stage: _Stage) -> Callable[[], list[DspProcessor]]:
        """Makes the processors of a host stage, all or none."""
        per_channel = stage.mapping is Mapping.PER_CHANNEL
        spec = AudioSpec(stage.spec.sample_rate, channel_map.width(stage.mapping, stage.spec.channels))

        def make() -> list[DspProcessor]:
            made: list[DspProcessor] = []
            try:
                made.extend(
                    self._open(stage.found, stage.request, spec).processor
                    for _ in range(stage.spec.channels if per_channel else 1)
                )
            except BaseException:
                for processor in made:
                    _end(processor)
                raise
            return made

        return make


def _end(processor: DspProcessor) -> None:
    """Close a processor that is not to be used. Its failure is logged: it must not hide what went wrong before."""
    try:
        processor.close()
    except Exception as error:  # noqa: BLE001 - native code may raise anything
        _log.warning("a processor could not be closed: %s", error)
