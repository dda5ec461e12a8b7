"""Engine, code cache, executor and both runtimes' plugins as one thing with one end."""

from __future__ import annotations

import contextlib
import threading
import warnings
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from stellatune_plugins.contract import Decoder, Dsp, DspProcessor
from stellatune_plugins.engine.cache import CodeStore
from stellatune_plugins.engine.compiler import CompileLimits, Progress
from stellatune_plugins.engine.config import EngineSettings, WasmEngine
from stellatune_plugins.engine.store import StoreLimits
from stellatune_plugins.errors import PluginFailure, UsageError
from stellatune_plugins.executor import (
    CELL_LIMITS,
    Activate,
    Activated,
    Deactivate,
    Deactivated,
    Deadlines,
    Environment,
    Executor,
    LocalExecutor,
    ReplacementPolicy,
    WasmDsp,
    activation_of,
    ask,
)
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.model import (
    AbilityKey,
    AbilityKind,
    AudioSpec,
    CoreModuleSpec,
    DisableReason,
    Home,
    PluginId,
    RuntimeRoute,
)
from stellatune_plugins.native import NativePlugin, NativeRuntime, NativeStatus
from stellatune_plugins.observe import EventBus
from stellatune_plugins.package import DecoderRules, InstallStore
from stellatune_plugins.package.installed import InstalledPlugin
from stellatune_plugins.registry.catalog import Catalog, Resolved
from stellatune_plugins.registry.opening import (
    OpenedLyrics,
    OpenedSink,
    OpenedSource,
    Opener,
    config_of,
    configured,
    naming,
)


class RuntimeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a :class:`PluginRuntime` is made with."""

    engine: EngineSettings = msgspec.field(default_factory=EngineSettings)
    tick_seconds: float = 0.001
    compile_limits: CompileLimits = msgspec.field(default_factory=CompileLimits)
    cell_limits: StoreLimits = CELL_LIMITS
    deadlines: Deadlines = msgspec.field(default_factory=Deadlines)
    replacements: ReplacementPolicy = msgspec.field(default_factory=ReplacementPolicy)
    host_timeouts: HostTimeouts = msgspec.field(default_factory=HostTimeouts)


class HotPathSource(msgspec.Struct, frozen=True):
    """Where a described core module lies."""

    package: InstalledPlugin
    spec: CoreModuleSpec

    @property
    def root(self) -> Path:
        """The package's folder, below which ``spec.wasm_rel_path`` counts."""
        return self.package.root


class OpenedDsp(msgspec.Struct, frozen=True):
    """A processor, configured, and what it came from."""

    resolved: Resolved
    processor: DspProcessor
    config_json: str | None
    """The effective configuration that it was given; ``None`` where there is none."""
    hot_path: HotPathSource | None = None
    """Set where it is a wasm plugin with a core module."""
    no_hot_path: str | None = None
    """Why there is none, where the plugin was asked and answered with an error."""


class PluginRuntime:
    """Everything that opening a plugin needs. One serves any number of threads.

    Args:
        home: where packages and compiled code lie.
        route: where abilities are looked up.
        bus: hears everything.
        settings: limits and deadlines.
        natives: native plugins; found through entry points where left out.
        on_progress: told about compilations that take over a second.
    """

    def __init__(
        self,
        home: Home,
        route: RuntimeRoute = RuntimeRoute.NATIVE,
        bus: EventBus | None = None,
        *,
        settings: RuntimeSettings | None = None,
        natives: NativeRuntime | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        self.home = home
        self.route = route
        self.bus = bus or EventBus()
        self.settings = settings or RuntimeSettings()
        self.natives = natives or NativeRuntime(bus=self.bus)
        self._on_progress = on_progress
        self._packages = InstallStore(home.plugins, self.bus)
        self._lock = threading.RLock()
        self._parts = contextlib.ExitStack()
        self._engine: WasmEngine | None = None
        self._code: CodeStore | None = None
        self._executor: LocalExecutor | None = None
        self._catalog: Catalog | None = None
        self._opener = Opener(self)
        self._closed = False

    # --- parts, each made when it is needed first: a native render starts no engine --------------------------------

    @property
    def engine(self) -> WasmEngine:
        """The engine that all Stores and code of this runtime belong to."""
        return self._started()[0]

    @property
    def code(self) -> CodeStore:
        """Compiled components and core modules, cached in the home."""
        return self._started()[1]

    @property
    def executor(self) -> LocalExecutor:
        """Runs components."""
        return self._started()[2]

    @property
    def catalog(self) -> Catalog:
        """What is installed, as it was when this was asked first or :meth:`refresh` was called last."""
        with self._lock:
            self._require_open()
            if self._catalog is None:
                self._catalog = Catalog(
                    self._packages.list(),
                    self.natives.records(),
                    self.route,
                    probe=self._probe,
                    native_scores=self._native_scores,
                )
            return self._catalog

    def refresh(self) -> Catalog:
        """Look again at what is installed. Plugins that are enabled stay so, in the version that they have."""
        with self._lock:
            self._catalog = None
            return self.catalog

    # --- plugins --------------------------------------------------------------------------------------------------

    def enable(self, package: InstalledPlugin) -> Activated:
        """Activate a wasm plugin; one that is active already stays as it is.

        Raises:
            HookFailed: its ``on-enable`` failed.
            StellatuneError: it cannot be compiled, checked or instantiated.
        """
        plan: Activate = activation_of(package)
        return ask(self.executor, plan, Activated)

    def disable(self, plugin_id: str, reason: DisableReason = DisableReason.HOST_DISABLE) -> Deactivated:
        """Tear a wasm plugin down, with everything that was opened from it.

        Raises:
            PluginNotInstalled: it is not active.
        """
        return ask(self.executor, Deactivate(PluginId(plugin_id), reason), Deactivated)

    def dsp(self, plugin_id: str, type_id: str | None = None) -> Dsp:
        """What makes processors of the DSP of this name, enabled.

        Raises:
            AbilityNotFound: the route reaches none.
            StellatuneError: the plugin cannot be enabled or loaded.
        """
        return self._dsp(self.catalog.find(AbilityKind.DSP, plugin_id, type_id))

    def open_dsp(
        self, plugin_id: str, spec: AudioSpec, *, type_id: str | None = None, config_json: str | None = None
    ) -> OpenedDsp:
        """A processor for one stream, with its defaults and the user's configuration applied.

        Args:
            plugin_id: whose DSP.
            spec: the stream's shape.
            type_id: which; may be left out where the plugin has one.
            config_json: the user's JSON object.

        Raises:
            AbilityNotFound: the route reaches none of this name.
            ConfigRejected: schema or plugin refuse the configuration.
            StellatuneError: the plugin cannot be enabled, or failed.
        """
        resolved = self.catalog.find(AbilityKind.DSP, plugin_id, type_id)
        config = config_of(resolved, config_json)
        with naming(resolved):
            processor = configured(lambda: self._dsp(resolved).create(spec), config)
            try:
                return self._opened(resolved, processor, config, spec)
            except BaseException:
                processor.close()
                raise

    def decoders(self) -> tuple[Decoder, ...]:
        """Every decoder of the route, each with its defaults.

        :class:`~stellatune_plugins.session.RankedDecoders` chooses among them, by extension and by what opens the data.
        """
        return self._opener.decoders()

    def spare_decoders(self) -> tuple[Decoder, ...]:
        """Native decoders beside the route's: for extensions that none of :meth:`decoders` takes, and only for those.

        None where the route has native ones anyway. On the ``wasm`` route a package that decodes one format must not
        take the others away.
        """
        return self._opener.spare_decoders()

    def open_decoder(self, plugin_id: str, *, type_id: str | None = None, config_json: str | None = None) -> Decoder:
        """The decoder of this name, which gives its sessions the configuration.

        Raises:
            AbilityNotFound: the route reaches none of this name.
            ConfigRejected: the schema refuses the configuration.
            NativePluginFailed: it is a native one that cannot serve here.
        """
        return self._opener.decoder(plugin_id, type_id, config_json)

    def open_source(
        self, plugin_id: str, *, type_id: str | None = None, config_json: str | None = None
    ) -> OpenedSource:
        """A catalogue with its defaults and the user's configuration applied; raises as :meth:`open_dsp` does."""
        return self._opener.source(plugin_id, type_id, config_json)

    def open_lyrics(
        self, plugin_id: str, *, type_id: str | None = None, config_json: str | None = None
    ) -> OpenedLyrics:
        """A lyrics provider, likewise."""
        return self._opener.lyrics(plugin_id, type_id, config_json)

    def open_sink(self, plugin_id: str, *, type_id: str | None = None, config_json: str | None = None) -> OpenedSink:
        """An output sink's session, likewise; not open on a target yet."""
        return self._opener.sink(plugin_id, type_id, config_json)

    # --- the end --------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Plugins are disabled, newest first; then the engine ends. May be called again."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._parts.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True) and self._engine is not None:
            warnings.warn("a plugin runtime was never closed", ResourceWarning, stacklevel=1, source=self)

    # ---------------------------------------------------------------------------------------------------------------

    def _require_open(self) -> None:
        if self._closed:
            raise UsageError("the plugin runtime was closed", operation="runtime")

    def _started(self) -> tuple[WasmEngine, CodeStore, LocalExecutor]:
        with self._lock:
            self._require_open()
            if self._engine is None or self._code is None or self._executor is None:
                settings = self.settings
                self._engine = WasmEngine(settings.engine, tick_seconds=settings.tick_seconds)
                self._parts.callback(self._engine.close)
                self._code = CodeStore(
                    self._engine,
                    self.home.code_cache,
                    bus=self.bus,
                    limits=settings.compile_limits,
                    on_progress=self._on_progress,
                )
                from stellatune_plugins.host.plugin_services import ServicesMaker  # noqa: PLC0415 - HTTP, TLS, processes

                services = ServicesMaker(self.home, self.bus, timeouts=settings.host_timeouts)
                self._parts.callback(services.close)
                environment = Environment(
                    engine=self._engine,
                    bus=self.bus,
                    deadlines=settings.deadlines,
                    limits=settings.cell_limits,
                    replacements=settings.replacements,
                    services=services,
                )
                self._executor = LocalExecutor(self._code, environment)
                self._parts.callback(self._executor.close)
            return self._engine, self._code, self._executor

    def _dsp(self, resolved: Resolved) -> Dsp:
        return self._opener.served(resolved, _wasm_dsp)

    @staticmethod
    def _opened(resolved: Resolved, processor: DspProcessor, config: str | None, spec: AudioSpec) -> OpenedDsp:
        if resolved.package is None:
            return OpenedDsp(resolved, processor, config)
        try:
            described = processor.describe_hot_path(spec)
        except PluginFailure as error:  # its own word; the component path is there all the same
            return OpenedDsp(resolved, processor, config, no_hot_path=error.message)
        source = None if described is None else HotPathSource(resolved.package, described)
        return OpenedDsp(resolved, processor, config, source)

    def _probe(self, plugin: NativePlugin) -> NativePlugin:
        return self.natives.load(plugin.kind, plugin.plugin_id, plugin.type_id)

    def _native_scores(self, plugin: NativePlugin) -> DecoderRules | None:
        if self._probe(plugin).status is not NativeStatus.READY:
            return None
        decoder = self.natives.decoder(plugin.plugin_id, plugin.type_id)
        return DecoderRules(tuple(decoder.ext_scores().items()), decoder.wildcard_score())


def _wasm_dsp(executor: Executor, ability: AbilityKey) -> Dsp:
    return WasmDsp(executor, ability)
