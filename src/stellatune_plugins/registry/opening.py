"""From the name of an ability to an instance of it that is enabled and configured, whichever runtime serves it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Generic, Protocol, TypeVar, cast

from stellatune_plugins.contract import (
    ByteStream,
    Configurable,
    Decoder,
    DecoderSession,
    Lyrics,
    LyricsProvider,
    OutputSink,
    OutputSinkSession,
    Source,
    SourceCatalog,
)
from stellatune_plugins.errors import ConfigRejected, NativePluginFailed, StellatuneError
from stellatune_plugins.executor import (
    Executor,
    WasmDecoder,
    WasmLyrics,
    WasmOutputSink,
    WasmSource,
    effective_config,
)
from stellatune_plugins.model import AbilityKey, AbilityKind, ConfigUpdateMode, RuntimeKind
from stellatune_plugins.native import NativeRuntime
from stellatune_plugins.package.installed import InstalledPlugin
from stellatune_plugins.registry.catalog import Catalog, Resolved

WASM_HINT: Final = "installed as a WebAssembly plugin too: pass --runtime hybrid or wasm"

T = TypeVar("T")
C = TypeVar("C", bound=Configurable)


class Opened(Generic[T]):
    """An instance, configured, and what it came from. Whoever opened it closes it.

    Args:
        resolved: the ability.
        instance: a catalogue, a provider, a sink session.
        config_json: the effective configuration that it was given; ``None`` where there is none.
    """

    def __init__(self, resolved: Resolved, instance: T, config_json: str | None) -> None:
        self.resolved = resolved
        self.instance = instance
        self.config_json = config_json


OpenedSource = Opened[SourceCatalog]
OpenedLyrics = Opened[LyricsProvider]
OpenedSink = Opened[OutputSinkSession]


def _decoder(executor: Executor, ability: AbilityKey) -> Decoder:
    return WasmDecoder(executor, ability)


def _source(executor: Executor, ability: AbilityKey) -> Source:
    return WasmSource(executor, ability)


def _lyrics(executor: Executor, ability: AbilityKey) -> Lyrics:
    return WasmLyrics(executor, ability)


def _sink(executor: Executor, ability: AbilityKey) -> OutputSink:
    return WasmOutputSink(executor, ability)


class Parts(Protocol):
    """What opening needs of the runtime around it."""

    @property
    def catalog(self) -> Catalog: ...

    @property
    def executor(self) -> Executor: ...

    @property
    def natives(self) -> NativeRuntime: ...

    def enable(self, package: InstalledPlugin) -> object: ...


class Opener:
    """Finds, enables, makes and configures. May be used by several threads.

    Args:
        parts: the runtime's; asked when they are needed, so that nothing starts before that.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def decoder(self, plugin_id: str, type_id: str | None, config_json: str | None) -> Decoder:
        """One decoder by its name; the plugin is enabled when a track is opened first.

        Raises:
            AbilityNotFound: the route reaches none.
            ConfigRejected: the schema refuses the configuration.
        """
        resolved = self._parts.catalog.find(AbilityKind.DECODER, plugin_id, type_id)
        return RoutedDecoder(self, resolved, config_of(resolved, config_json))

    def decoders(self) -> tuple[Decoder, ...]:
        """Every decoder that the route reaches, in its order; one that cannot serve here is left out."""
        return self._routed(self._parts.catalog.of_kind(AbilityKind.DECODER))

    def spare_decoders(self) -> tuple[Decoder, ...]:
        """The native ones that the route passes over, for what no package decodes (ADR 0021)."""
        catalog = self._parts.catalog
        if RuntimeKind.NATIVE in catalog.policy.order(AbilityKind.DECODER):
            return ()
        everything = catalog.everything(AbilityKind.DECODER)
        return self._routed([e for e in everything if e.runtime is RuntimeKind.NATIVE])

    def _routed(self, abilities: Iterable[Resolved]) -> tuple[Decoder, ...]:
        found: list[Decoder] = []
        for resolved in abilities:
            with contextlib.suppress(NativePluginFailed):
                found.append(RoutedDecoder(self, resolved, config_of(resolved, None)))
        return tuple(found)

    def source(self, plugin_id: str, type_id: str | None, config_json: str | None) -> OpenedSource:
        """A catalogue; raises as :meth:`lyrics` does."""
        resolved = self._parts.catalog.find(AbilityKind.SOURCE, plugin_id, type_id)
        return self._open(resolved, config_json, lambda: self.served(resolved, _source).create())

    def lyrics(self, plugin_id: str, type_id: str | None, config_json: str | None) -> OpenedLyrics:
        """A provider.

        Raises:
            AbilityNotFound: the route reaches none of this name.
            ConfigRejected: schema or plugin refuse the configuration.
            StellatuneError: the plugin cannot be enabled, or failed.
        """
        resolved = self._parts.catalog.find(AbilityKind.LYRICS, plugin_id, type_id)
        return self._open(resolved, config_json, lambda: self.served(resolved, _lyrics).create())

    def sink(self, plugin_id: str, type_id: str | None, config_json: str | None) -> OpenedSink:
        """A sink session, not open on a target yet; raises as :meth:`lyrics` does."""
        resolved = self._parts.catalog.find(AbilityKind.OUTPUT_SINK, plugin_id, type_id)
        return self._open(resolved, config_json, lambda: self.served(resolved, _sink).create())

    # --- one ability of either runtime ----------------------------------------------------------------------------

    def served(self, resolved: Resolved, wasm: Callable[[Executor, AbilityKey], T]) -> T:
        """What makes instances of the ability, enabled.

        Args:
            resolved: the ability.
            wasm: makes the client of the ability's interface, where it is a WebAssembly plugin's.

        Raises:
            NativePluginFailed: a native one cannot be used.
            StellatuneError: a wasm one cannot be enabled.
        """
        if resolved.package is not None:
            self._parts.enable(resolved.package)
            return wasm(self._parts.executor, resolved.key)
        try:
            return cast("T", self._parts.natives.get(resolved.key.kind, resolved.key.plugin_id, resolved.key.type_id))
        except NativePluginFailed as error:
            if self._has_wasm_twin(resolved):
                error.hint = WASM_HINT
            raise

    def native_scores(self, resolved: Resolved) -> tuple[Mapping[str, int], int | None]:
        """What a native decoder says of extensions; asking loads it."""
        decoder = self._parts.natives.decoder(resolved.key.plugin_id, resolved.key.type_id)
        return decoder.ext_scores(), decoder.wildcard_score()

    # ---------------------------------------------------------------------------------------------------------------

    def _has_wasm_twin(self, resolved: Resolved) -> bool:
        name = (resolved.key.plugin_id, resolved.key.type_id)
        return any(
            e.runtime is RuntimeKind.WASM and (e.key.plugin_id, e.key.type_id) == name
            for e in self._parts.catalog.everything(resolved.key.kind)
        )

    @staticmethod
    def _open(resolved: Resolved, config_json: str | None, create: Callable[[], C]) -> Opened[C]:
        config = config_of(resolved, config_json)
        with naming(resolved):
            return Opened(resolved, configured(create, config), config)


class RoutedDecoder:
    """One decoder of either runtime; serves :class:`~stellatune_plugins.contract.Decoder`.

    What extensions it takes is known without enabling it. Every session gets the configuration.

    Args:
        opener: enables and loads.
        resolved: the ability.
        config_json: the effective configuration.

    Raises:
        NativePluginFailed: it is a native one that cannot serve here.
    """

    def __init__(self, opener: Opener, resolved: Resolved, config_json: str | None) -> None:
        self.resolved = resolved
        self._opener = opener
        self._config_json = config_json
        rules = resolved.decoder
        if rules is not None:
            self._scores: Mapping[str, int] = rules.scores()
            self._wildcard = rules.wildcard_score
        elif resolved.runtime is RuntimeKind.NATIVE:
            self._scores, self._wildcard = opener.native_scores(resolved)
        else:
            self._scores, self._wildcard = {}, None

    def ext_scores(self) -> Mapping[str, int]:
        return dict(self._scores)

    def wildcard_score(self) -> int | None:
        return self._wildcard

    def open(self, stream: ByteStream, ext_hint: str | None) -> DecoderSession:
        """See the interface.

        Raises:
            ConfigRejected: the plugin refuses the configuration.
            StellatuneError: it cannot be enabled, or does not open the stream, which is closed then.
        """
        with naming(self.resolved):
            try:
                decoder = self._opener.served(self.resolved, _decoder)
            except BaseException:
                stream.close()
                raise
            return configured(lambda: decoder.open(stream, ext_hint), self._config_json)


def config_of(resolved: Resolved, config_json: str | None) -> str | None:
    """The effective configuration of an ability.

    Raises:
        ConfigRejected: it is no JSON object, too large, or against the schema.
    """
    return effective_config(
        config_json,
        default_json=resolved.default_config_json,
        schema_json=resolved.config_schema_json,
        plugin=resolved.key.plugin_id,
        capability=resolved.capability,
    )


def configured(create: Callable[[], C], config_json: str | None) -> C:
    """A fresh instance with its configuration; closed where it refuses it."""
    instance = create()
    try:
        if config_json is not None:
            configure(instance, config_json)
    except BaseException:
        instance.close()
        raise
    return instance


def configure(instance: Configurable, config_json: str) -> None:
    """Give a fresh instance its first configuration. A plan to recreate changes nothing: it is fresh.

    Raises:
        ConfigRejected: the plugin's plan rejects it, or applying it was refused.
    """
    plan = instance.plan_config(config_json)
    if plan.mode is ConfigUpdateMode.REJECT:
        raise ConfigRejected(plan.reason or "the plugin refuses this configuration", operation="config.plan")
    instance.apply_config(config_json)


@contextlib.contextmanager
def naming(resolved: Resolved) -> Iterator[None]:
    """Say whose failure it is."""
    try:
        yield
    except StellatuneError as error:
        error.at(plugin=resolved.key.plugin_id, capability=resolved.capability)
        raise
