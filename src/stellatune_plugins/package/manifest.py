"""What a package says about itself: ``plugin.json``, schema version 1 (contract, section 2), as validated types."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator
from typing import Any

import msgspec

from stellatune_plugins.model import AbilityKey, AbilityKind, ComponentId, PluginId, TypeId

SCHEMA_VERSION = 1
API_VERSION = 1


class RawManifest(msgspec.Struct, frozen=True):
    """A ``plugin.json`` as it was read: any JSON object, unknown fields included, nothing checked but its syntax."""

    data: dict[str, Any]

    def to_json(self) -> bytes:
        """The same document again, indented; fields keep their order."""
        return json.dumps(self.data, indent=2, ensure_ascii=False).encode() + b"\n"


class DecoderRules(msgspec.Struct, frozen=True):
    """How well a decoder deals with file extensions (lower case, without dot); the highest score wins."""

    ext_scores: tuple[tuple[str, int], ...] = ()
    wildcard_score: int | None = None

    def scores(self) -> dict[str, int]:
        """Extension to score."""
        return dict(self.ext_scores)


class AbilitySpec(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a component can do."""

    kind: AbilityKind
    type_id: TypeId
    display_name: str | None = None
    config_schema_json: str | None = None
    default_config_json: str | None = None
    decoder: DecoderRules | None = None
    """Set exactly where ``kind`` is ``decoder``."""


class ComponentSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One WebAssembly component of a package."""

    id: ComponentId
    path: str
    """Below the package's root, with forward slashes."""
    world: str
    """As written: ``stellatune:plugin/dsp-plugin@0.1.0``."""
    abilities: tuple[AbilitySpec, ...] = ()

    @property
    def world_name(self) -> str:
        """The world alone: ``dsp-plugin``."""
        return self.world.partition("/")[2].partition("@")[0]

    @property
    def world_version(self) -> str:
        """The version of the WIT package: ``0.1.0``."""
        return self.world.partition("@")[2]


class FileAccess(enum.StrEnum):
    """What a plugin wants to do with files."""

    READ = "read"
    READ_WRITE = "read-write"


class FilePermission(msgspec.Struct, frozen=True):
    """A folder or file outside the plugin's own: absolute, or below the user's home with ``~/``."""

    path: str
    access: FileAccess


class HostPermission(msgspec.Struct, frozen=True):
    """A network host by name: exactly one, ``*.example.org`` for every name below it, ``*`` for every name."""

    host: str
    """As :func:`~stellatune_plugins.package.hosts.canonical_host` gives it; IPv6 in brackets."""
    port: int | None = None
    """``None`` for the usual port of http and https, 0 for every port."""
    scheme: str = "https"
    """``https``, ``http``, ``tcp`` or ``udp``."""


class SidecarPermission(msgspec.Struct, frozen=True):
    """A sidecar to run, and what it needs beyond that."""

    id: str
    network: bool = False
    audio: bool = False


class DeadlineTier(enum.StrEnum):
    """How long a plugin's calls may take, as a multiple of the host's deadlines."""

    INTERACTIVE = "interactive"
    """Half of them."""
    STANDARD = "standard"
    PATIENT = "patient"
    """Four times as long, for a plugin that waits for slow servers or computes for long."""

    @property
    def factor(self) -> float:
        """What the host's deadlines are multiplied by."""
        return {"interactive": 0.5, "standard": 1.0, "patient": 4.0}[self.value]


class Permissions(msgspec.Struct, frozen=True, kw_only=True):
    """What a plugin asks for. Asking grants nothing: a grant is the user's, kept per plugin and version."""

    stated: bool = True
    """Off for a manifest without ``permissions``: its author knew of none, so the user may grant what comes up."""
    files: tuple[FilePermission, ...] = ()
    hosts: tuple[HostPermission, ...] = ()
    local_network: bool = False
    sidecar: bool = False
    """Every sidecar that the manifest declares."""
    sidecars: tuple[SidecarPermission, ...] = ()
    """Sidecars one by one: ids of declared ones, or paths of executables."""
    memory_mib: int | None = None
    """Linear memory of one instance in MiB; ``None`` for the host's default."""
    deadline: DeadlineTier = DeadlineTier.STANDARD


class SidecarStart(enum.StrEnum):
    """When a sidecar is started."""

    ON_ENABLE = "on-enable"
    ON_DEMAND = "on-demand"


class SidecarScope(enum.StrEnum):
    """WIT ``sidecar.launch-scope``."""

    INSTANCE = "instance"
    PACKAGE_SHARED = "package-shared"


class SidecarRestart(enum.StrEnum):
    """Whether a sidecar that ended is started again."""

    NEVER = "never"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"


class SidecarNeed(enum.StrEnum):
    """What a sidecar needs that its sandbox withholds."""

    AUDIO = "audio"
    """The user's sound server and sound devices."""
    NETWORK = "network"


class TransportKind(enum.StrEnum):
    """WIT ``sidecar.transport-kind``."""

    STDIO = "stdio"
    NAMED_PIPE = "named-pipe"
    UNIX_SOCKET = "unix-socket"
    LOOPBACK_TCP = "loopback-tcp"
    SHARED_MEMORY_RING = "shared-memory-ring"


class TransportOption(msgspec.Struct, frozen=True):
    """WIT ``sidecar.transport-option``; the highest priority (0 to 255) is tried first."""

    kind: TransportKind
    priority: int = 0
    max_frame_bytes: int | None = None


class SidecarSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A native helper program that the package brings along."""

    id: str
    executable: str
    """Below the package's root, or below its ``bin/``."""
    args: tuple[str, ...] = ()
    start: SidecarStart = SidecarStart.ON_DEMAND
    scope: SidecarScope = SidecarScope.INSTANCE
    transports: tuple[TransportOption, ...] = ()
    restart: SidecarRestart = SidecarRestart.NEVER
    needs: tuple[SidecarNeed, ...] = ()


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A ``plugin.json`` that keeps every rule of the contract."""

    id: PluginId
    name: str
    version: str
    components: tuple[ComponentSpec, ...]
    schema_version: int = SCHEMA_VERSION
    api_version: int = API_VERSION
    description: str | None = None
    license: str | None = None
    homepage: str | None = None
    permissions: Permissions = Permissions()
    sidecars: tuple[SidecarSpec, ...] = ()
    raw: RawManifest
    """The document itself, with the fields that this host does not know."""

    def ability_keys(self) -> Iterator[tuple[AbilityKey, AbilitySpec]]:
        """Every ability with its binding, in the manifest's order."""
        for component in self.components:
            for ability in component.abilities:
                yield AbilityKey(self.id, ability.kind, ability.type_id, component.id), ability

    def component(self, component_id: str) -> ComponentSpec | None:
        """The component of this id."""
        return next((c for c in self.components if c.id == component_id), None)
