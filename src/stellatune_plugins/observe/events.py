"""Events: one frozen details type each, under a dotted name. Fields are plain data; times are in seconds.

``docs/reference/events.md`` is generated from this module.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened. ``name`` is stable; fields are only ever added."""

    name: ClassVar[str]

    plugin: str | None = None


class PackageInstalled(Event, frozen=True, kw_only=True):
    """A package was installed."""

    name: ClassVar[str] = "package.installed"
    version: str
    seconds: float


class PackageUpgraded(Event, frozen=True, kw_only=True):
    """A package was replaced by another version; the old one stays for rollback."""

    name: ClassVar[str] = "package.upgraded"
    from_version: str
    to_version: str
    seconds: float


class PackageRolledBack(Event, frozen=True, kw_only=True):
    """The version kept from before an upgrade took its place again."""

    name: ClassVar[str] = "package.rolled_back"
    from_version: str
    to_version: str
    seconds: float


class PackageUninstalled(Event, frozen=True, kw_only=True):
    """A package was removed, or (``deferred``) marked for removal."""

    name: ClassVar[str] = "package.uninstalled"
    version: str
    deferred: bool
    seconds: float


class PackageRecovered(Event, frozen=True, kw_only=True):
    """Leftovers of an interrupted operation were cleaned up."""

    name: ClassVar[str] = "package.recovered"
    detail: str


class PermissionGranted(Event, frozen=True, kw_only=True):
    """The user granted a plugin something, or an upgrade carried it over from the version before."""

    name: ClassVar[str] = "permission.granted"
    version: str
    grant: str
    carried_over: bool = False


class PermissionRevoked(Event, frozen=True, kw_only=True):
    """The user took a grant back; it counts from the plugin's next activation on."""

    name: ClassVar[str] = "permission.revoked"
    version: str
    grant: str


class PermissionDenied(Event, frozen=True, kw_only=True):
    """A plugin wanted what it may not have. ``unsaid`` counts denials before this one that were too many to tell."""

    name: ClassVar[str] = "permission.denied"
    version: str
    what: str
    wanted: str
    grant: str | None
    unsaid: int = 0


class CodeCompiled(Event, frozen=True, kw_only=True):
    """WebAssembly was compiled in a child process."""

    name: ClassVar[str] = "code.compiled"
    path: str
    wasm_bytes: int
    seconds: float


class CodeLoaded(Event, frozen=True, kw_only=True):
    """Compiled code was loaded from the cache."""

    name: ClassVar[str] = "code.loaded"
    path: str
    seconds: float


class CodeCacheRejected(Event, frozen=True, kw_only=True):
    """A cache entry was damaged, foreign or tampered with; it is rebuilt, never loaded."""

    name: ClassVar[str] = "code.cache_rejected"
    path: str
    reason: str


class CodeLanesRefused(Event, frozen=True, kw_only=True):
    """A component, or a function of it, goes without the fast way for bulk bytes; it works all the same."""

    name: ClassVar[str] = "code.lanes_refused"
    path: str
    reason: str


class PluginEnabled(Event, frozen=True, kw_only=True):
    """A plugin's components are instantiated and their ``on-enable`` ran."""

    name: ClassVar[str] = "plugin.enabled"
    version: str
    components: int
    seconds: float


class PluginDisabled(Event, frozen=True, kw_only=True):
    """A plugin was torn down; ``forced`` where its hook failed or hung."""

    name: ClassVar[str] = "plugin.disabled"
    reason: str
    forced: bool
    seconds: float


class PluginFailed(Event, frozen=True, kw_only=True):
    """A plugin could not be enabled, or a hook of it failed."""

    name: ClassVar[str] = "plugin.failed"
    operation: str
    code: str
    message: str


class CallDeadlineExceeded(Event, frozen=True, kw_only=True):
    """A guest call was stopped at its deadline."""

    name: ClassVar[str] = "call.deadline"
    component: str | None = None
    operation: str
    seconds: float


class GuestTrapped(Event, frozen=True, kw_only=True):
    """Guest code trapped."""

    name: ClassVar[str] = "guest.trap"
    component: str | None = None
    operation: str
    trap: str


class CellReplaced(Event, frozen=True, kw_only=True):
    """A dead component instance was replaced by a fresh one."""

    name: ClassVar[str] = "cell.replaced"
    component: str
    reason: str
    seconds: float


class StageBypassed(Event, frozen=True, kw_only=True):
    """A stage was taken out of the chain; the music goes on round it."""

    name: ClassVar[str] = "stage.bypassed"
    stage: int
    at_frame: int
    code: str
    reason: str


class StageRecovered(Event, frozen=True, kw_only=True):
    """A fresh instance of a stage was faded in."""

    name: ClassVar[str] = "stage.recovered"
    stage: int
    at_frame: int
    seconds: float


class StageSilenced(Event, frozen=True, kw_only=True):
    """A stage's block had NaN or infinite samples and was replaced by silence."""

    name: ClassVar[str] = "stage.silenced"
    stage: int
    at_frame: int
    frames: int


class StageFellBack(Event, frozen=True, kw_only=True):
    """A stage's core module was refused; its component path is used."""

    name: ClassVar[str] = "stage.fell_back"
    stage: int
    code: str
    reason: str


class GuestOutput(Event, frozen=True, kw_only=True):
    """A line that a guest wrote to its stdout or stderr."""

    name: ClassVar[str] = "guest.output"
    stream: str
    text: str


class GuestOutputDropped(Event, frozen=True, kw_only=True):
    """Lines of a guest that were dropped because it wrote too many."""

    name: ClassVar[str] = "guest.output_dropped"
    lines: int


class NativePluginLoaded(Event, frozen=True, kw_only=True):
    """A native plugin was found; ``status`` says whether it can be used."""

    name: ClassVar[str] = "native.loaded"
    status: str
    detail: str | None = None
    seconds: float


class SidecarStarted(Event, frozen=True, kw_only=True):
    """A sidecar runs; ``tier`` says what keeps it in, ``seconds`` how long the start took."""

    name: ClassVar[str] = "sidecar.started"
    sidecar: str
    tier: str
    pid: int
    seconds: float


class SidecarExited(Event, frozen=True, kw_only=True):
    """A sidecar ended after ``seconds`` and nothing of it is left; ``intended`` where the host stopped it.

    ``code`` is 128 and the signal's number where a signal ended it.
    """

    name: ClassVar[str] = "sidecar.exited"
    sidecar: str
    code: int
    intended: bool
    seconds: float


class SidecarRestarted(Event, frozen=True, kw_only=True):
    """A sidecar that had ended runs again; ``attempt`` counts the restarts since it was last healthy."""

    name: ClassVar[str] = "sidecar.restarted"
    sidecar: str
    attempt: int
    delay: float


class SidecarFailedToStart(Event, frozen=True, kw_only=True):
    """A sidecar could not be started."""

    name: ClassVar[str] = "sidecar.failed"
    sidecar: str
    tier: str
    message: str


class SidecarQuarantined(Event, frozen=True, kw_only=True):
    """A sidecar failed so often that it is not started again until the quarantine is lifted by hand."""

    name: ClassVar[str] = "sidecar.quarantined"
    sidecar: str
    failures: int
    reason: str
