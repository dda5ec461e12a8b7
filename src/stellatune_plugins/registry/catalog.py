"""The capability index: every ability of every installed plugin, and which one a name means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from stellatune_plugins.errors import AbilityNotFound
from stellatune_plugins.model import AbilityKey, AbilityKind, ComponentId, RuntimeKind, RuntimeRoute, TypeId
from stellatune_plugins.native.records import NativePlugin, NativeStatus
from stellatune_plugins.package.installed import InstalledPlugin
from stellatune_plugins.package.manifest import AbilitySpec, DecoderRules
from stellatune_plugins.registry.routing import RoutePolicy

NATIVE_COMPONENT = ComponentId("native")
"""Stands for the component in the keys of native abilities, which have none."""

OPERATION = "registry.find"

NativeScores = Callable[[NativePlugin], DecoderRules | None]
"""What a native decoder says about extensions, ``None`` where it cannot serve; asking loads the plugin."""

NativeProbe = Callable[[NativePlugin], NativePlugin]
"""Loads a native plugin and gives the record with what became of it."""


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """One ability, found."""

    key: AbilityKey
    runtime: RuntimeKind
    display_name: str
    config_schema_json: str | None = None
    default_config_json: str | None = None
    decoder: DecoderRules | None = None
    package: InstalledPlugin | None = None
    """Where ``runtime`` is wasm."""
    native: NativePlugin | None = None
    """Where ``runtime`` is native."""

    @property
    def capability(self) -> str:
        """``kind/type_id``, as errors name it."""
        return f"{self.key.kind}/{self.key.type_id}"


class Catalog:
    """An immutable index over what was found at one moment; make a new one after an install.

    Args:
        packages: installed wasm packages.
        natives: records of native plugins; where two have one name, the first counts.
        route: where lookups go.
        probe: asked about a native plugin that a wasm package could stand in for.
        native_scores: asked for native decoders, and only by :meth:`decoders`.
    """

    def __init__(
        self,
        packages: Iterable[InstalledPlugin],
        natives: Iterable[NativePlugin],
        route: RuntimeRoute,
        *,
        probe: NativeProbe | None = None,
        native_scores: NativeScores | None = None,
    ) -> None:
        wasm = [
            _wasm_entry(package, key, ability)
            for package in packages
            for key, ability in package.manifest.ability_keys()
        ]
        native: dict[AbilityKey, Resolved] = {}
        for record in natives:
            if record.type_id:  # without one its name was no name at all
                entry = _native_entry(record)
                native.setdefault(entry.key, entry)
        self._entries: Mapping[RuntimeKind, tuple[Resolved, ...]] = {
            RuntimeKind.NATIVE: tuple(sorted(native.values(), key=lambda e: e.key)),
            RuntimeKind.WASM: tuple(sorted(wasm, key=lambda e: e.key)),
        }
        self._probe = probe
        self._native_scores = native_scores
        self.policy = RoutePolicy.over(route, {e.key.kind for e in wasm})

    def everything(self, kind: AbilityKind | None = None) -> tuple[Resolved, ...]:
        """All abilities of both runtimes, native first, whatever the route."""
        return tuple(e for part in self._entries.values() for e in part if kind is None or e.key.kind is kind)

    def of_kind(self, kind: AbilityKind) -> tuple[Resolved, ...]:
        """What the route reaches of a kind.

        Where both runtimes have one plugin and type, the first in order wins, unless it cannot serve here: a native
        twin whose library was not built must not hide the package that works.
        """
        found: dict[tuple[str, str], Resolved] = {}
        for entry in self._in_order(kind):
            name = (entry.key.plugin_id, entry.key.type_id)
            if name not in found or not self._serves(found[name]):
                found[name] = entry
        return tuple(found.values())

    def find(self, kind: AbilityKind, plugin_id: str, type_id: str | None = None) -> Resolved:
        """The ability of this name on the route.

        Args:
            kind: what is needed.
            plugin_id: whose.
            type_id: which; may be left out where the plugin has one of the kind.

        Raises:
            AbilityNotFound: there is none, or several and none was named; the hint says what there is instead.
        """
        reached = [e for e in self.of_kind(kind) if e.key.plugin_id == plugin_id]
        matches = [e for e in reached if type_id in {None, e.key.type_id}]
        if len(matches) == 1:
            return matches[0]
        if matches:
            types = [e.key.type_id for e in matches]
            raise self._not_found(
                f"the plugin has several {kind} abilities: {', '.join(types)}",
                kind,
                plugin_id,
                hint=f"name one of them: {plugin_id}/{types[0]}",
                choices=types,
            )
        raise self._missing(kind, plugin_id, type_id, [e.key.type_id for e in reached])

    def decoders(self, ext: str | None) -> tuple[tuple[int, Resolved], ...]:
        """Who decodes an extension (lower case, no dot; ``None`` where there is none), the best score first."""
        scored = []
        for entry in self.of_kind(AbilityKind.DECODER):
            rules = entry.decoder
            if rules is None and entry.native is not None and self._native_scores is not None:
                rules = self._native_scores(entry.native)
            if rules is None:
                continue
            score = rules.scores().get(ext) if ext is not None else None
            if score is None:
                score = rules.wildcard_score
            if score is not None:
                scored.append((score, entry))
        # Sorting is stable: equal scores keep the route's order, and in it the order of ids.
        return tuple(sorted(scored, key=lambda pair: -pair[0]))

    def _in_order(self, kind: AbilityKind) -> list[Resolved]:
        return [e for runtime in self.policy.order(kind) for e in self._entries[runtime] if e.key.kind is kind]

    def _serves(self, entry: Resolved) -> bool:
        if entry.native is None or self._probe is None:
            return True
        return self._probe(entry.native).status is NativeStatus.READY

    def _missing(self, kind: AbilityKind, plugin_id: str, type_id: str | None, others: list[TypeId]) -> AbilityNotFound:
        name = plugin_id if type_id is None else f"{plugin_id}/{type_id}"
        reached = " or ".join(self.policy.order(kind))
        elsewhere = {
            e.runtime
            for e in self.everything(kind)
            if e.key.plugin_id == plugin_id and type_id in {None, e.key.type_id}
        }
        hint = None
        if RuntimeKind.WASM in elsewhere:
            hint = "installed as a WebAssembly plugin: pass --runtime hybrid or wasm"
        elif RuntimeKind.NATIVE in elsewhere:
            hint = "installed as a native plugin: pass --runtime hybrid or native"
        elif others:
            hint = f"the plugin has: {', '.join(others)}"
        return self._not_found(f"no {reached} plugin serves {kind} {name}", kind, plugin_id, hint=hint, choices=others)

    def _not_found(
        self, message: str, kind: AbilityKind, plugin_id: str, *, hint: str | None, choices: list[TypeId]
    ) -> AbilityNotFound:
        return AbilityNotFound(
            message,
            plugin=plugin_id,
            capability=str(kind),
            operation=OPERATION,
            hint=hint,
            route=str(self.policy.route),
            choices=[str(choice) for choice in choices],
        )


def _wasm_entry(package: InstalledPlugin, key: AbilityKey, ability: AbilitySpec) -> Resolved:
    return Resolved(
        key=key,
        runtime=RuntimeKind.WASM,
        display_name=ability.display_name or package.manifest.name,
        config_schema_json=ability.config_schema_json,
        default_config_json=ability.default_config_json,
        decoder=ability.decoder,
        package=package,
    )


def _native_entry(plugin: NativePlugin) -> Resolved:
    return Resolved(
        key=AbilityKey(plugin.plugin_id, plugin.kind, plugin.type_id, NATIVE_COMPONENT),
        runtime=RuntimeKind.NATIVE,
        display_name=plugin.plugin_id,
        native=plugin,
    )
