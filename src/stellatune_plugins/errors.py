"""The failure taxonomy: one class for each thing that a caller can decide, each with a stable code.

Every error names the plugin, the component, the capability and the operation as far as they are known, carries its
cause by ``raise ... from``, and hints at what to do. ``docs/reference/errors.md`` is generated from this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, NamedTuple


class StellatuneError(Exception):
    """Raised when something failed and no more precise class fits.

    Args:
        message: what happened, for a person, without the plugin's name.
        plugin: id of the plugin concerned.
        component: id of the component within the plugin.
        capability: the ability's kind, or ``kind/type_id``.
        operation: what was being done, such as ``install`` or ``dsp.create``.
        hint: what the reader can do; the class has a default.
        details: further fields, plain data only, for logs and JSON.
    """

    code: ClassVar[str] = "internal"
    default_hint: ClassVar[str] = "run `stellatune doctor`, and report this with its output"

    def __init__(
        self,
        message: str,
        *,
        plugin: str | None = None,
        component: str | None = None,
        capability: str | None = None,
        operation: str | None = None,
        hint: str | None = None,
        **details: Any,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.plugin = plugin
        self.component = component
        self.capability = capability
        self.operation = operation
        self.hint = hint if hint is not None else self.default_hint
        self.details = details

    def __str__(self) -> str:
        where = self.where
        return f"{self.message}, {where}" if where else self.message

    @property
    def where(self) -> str:
        """Plugin, component and operation in a few words; empty where nothing is known."""
        parts = []
        if self.plugin:
            parts.append(f"in plugin {self.plugin}" + (f" (component {self.component})" if self.component else ""))
        if self.operation:
            parts.append(f"during {self.operation}")
        return " ".join(parts)

    def at(
        self,
        *,
        plugin: str | None = None,
        component: str | None = None,
        capability: str | None = None,
        operation: str | None = None,
    ) -> StellatuneError:
        """Fill in fields that the raiser did not know; known ones stay. Returns the same error."""
        self.plugin = self.plugin or plugin
        self.component = self.component or component
        self.capability = self.capability or capability
        self.operation = self.operation or operation
        return self

    def to_dict(self) -> dict[str, Any]:
        """The error as plain data, as the command line prints it below ``error``."""
        data: dict[str, Any] = {
            "code": self.code,
            "message": self.message,
            "plugin": self.plugin,
            "component": self.component,
            "capability": self.capability,
            "operation": self.operation,
            "hint": self.hint,
        }
        if self.details:
            data["details"] = self.details
        return data


# --- what the user asked for ----------------------------------------------------------------------------------------


class UsageError(StellatuneError):
    """Raised when a command or call was asked for something that it can never do."""

    code = "usage"
    default_hint = "see `stellatune --help`"


class Interrupted(StellatuneError):
    """Raised when the user stopped the work."""

    code = "interrupted"
    default_hint = "nothing half-written was left behind; start it again when you like"


# --- packages -------------------------------------------------------------------------------------------------------


class Problem(NamedTuple):
    """One thing wrong in a document, and where: ``components[0].path``."""

    path: str
    message: str


class ManifestInvalid(StellatuneError):
    """Raised when a ``plugin.json`` breaks the contract; ``problems`` has every breach."""

    code = "manifest-invalid"
    default_hint = "correct the named fields of plugin.json and build the package again"

    def __init__(self, problems: Iterable[Problem], **fields: Any) -> None:
        self.problems = tuple(problems)
        text = "; ".join(f"{p.path}: {p.message}" for p in self.problems)
        super().__init__(f"plugin.json is not valid: {text}", **fields)
        self.details["problems"] = [p._asdict() for p in self.problems]


class SourceUnreadable(StellatuneError):
    """Raised when a package's folder or archive cannot be read at all."""

    code = "source-unreadable"
    default_hint = "check the path; a package is a folder or a zip with plugin.json at its root"


class ArchiveRefused(StellatuneError):
    """Raised when a package has entries that an honest one never has, or more of them than the caps allow."""

    code = "archive-refused"
    default_hint = "do not trust this package; ask its author for one built with `stellatune plugin pack`"


class PluginNotInstalled(StellatuneError):
    """Raised when a plugin is asked for that is not installed."""

    code = "plugin-not-installed"
    default_hint = "`stellatune plugin list` shows what is installed"


class PluginAlreadyInstalled(StellatuneError):
    """Raised when a plugin of the same id is there already."""

    code = "plugin-already-installed"
    default_hint = "use `stellatune plugin upgrade`, or uninstall it first"


class StoreBusy(StellatuneError):
    """Raised when another process kept the plugin store locked for too long."""

    code = "store-busy"
    default_hint = "wait for the other stellatune process, then try again"


class StoreFailed(StellatuneError):
    """Raised when the plugin store could not be written; what was installed before is still there."""

    code = "store-failed"
    default_hint = "check free space and permissions of the plugin folder; nothing was changed"


# --- permissions and other things kept for the user -----------------------------------------------------------------


class GrantRefused(StellatuneError):
    """Raised when a permission cannot be granted: the plugin does not ask for it, or nobody may have it."""

    code = "grant-refused"
    default_hint = "`stellatune plugin permissions ID` shows what the plugin asks for"


class PermissionsHeld(StellatuneError):
    """Raised when an upgrade asks for more than the installed version does, and nobody accepted that.

    ``details['new']`` has what is new.
    """

    code = "permissions-held"
    default_hint = "pass --accept to upgrade without granting it, or --grant all; nothing was changed"


class StateFailed(StellatuneError):
    """Raised when what is kept for the user (grants and the like) cannot be read or written."""

    code = "state-failed"
    default_hint = "check owner, permissions and free space of the home; without this nothing is granted"


class StateDamaged(StateFailed):
    """Raised when what is kept for the user is damaged."""

    code = "state-damaged"
    default_hint = "move the named file away; what it held must be granted again"


class StateBusy(StateFailed):
    """Raised when another process kept the user's data locked for too long."""

    code = "state-busy"
    default_hint = "wait for the other stellatune process, then try again"


# --- sidecars -------------------------------------------------------------------------------------------------------


class SidecarFailed(StellatuneError):
    """Raised when a sidecar that a plugin cannot do without does not run."""

    code = "sidecar-failed"
    default_hint = "`stellatune plugin logs ID` has the sidecar's own words"


# --- engine ---------------------------------------------------------------------------------------------------------


class NotWasm(StellatuneError):
    """Raised when a file that should be WebAssembly is not, or is of the other kind (module or component)."""

    code = "not-wasm"
    default_hint = "the package was built wrongly; its author must ship binary wasm of the right kind"


class WasmInvalid(StellatuneError):
    """Raised when WebAssembly does not validate, or uses a feature that guests may not use."""

    code = "wasm-invalid"
    default_hint = "the package is damaged or was built for another host; ask its author"


class CompileLimit(StellatuneError):
    """Raised when compiling took more time or memory than allowed."""

    code = "compile-limit"
    default_hint = "the code is too large or built to exhaust the compiler; do not trust it, or raise the limit"


class CompileFailed(StellatuneError):
    """Raised when the compiler process died without an answer."""

    code = "compile-failed"
    default_hint = "run it again; where it persists, report it with the package"


class WorldMismatch(StellatuneError):
    """Raised when a component's real imports and exports are not those of the world it declares."""

    code = "world-mismatch"
    default_hint = "the manifest names the wrong world, or the component was built against another contract"


class InstantiateFailed(StellatuneError):
    """Raised when an instance could not be made: an import is refused, or a limit is too small."""

    code = "instantiate-failed"
    default_hint = "the plugin asks for more than this host gives; ask its author"


class GuestTrap(StellatuneError):
    """Raised when guest code trapped; ``details['trap']`` says how."""

    code = "guest-trap"
    default_hint = "the plugin crashed inside its sandbox; report it to its author"


class CallDeadline(StellatuneError):
    """Raised when guest code was stopped because it ran past its deadline."""

    code = "call-deadline"
    default_hint = "the plugin hangs or is too slow; report it to its author"


class GuestContract(StellatuneError):
    """Raised when what a guest returned or did breaks the contract."""

    code = "guest-contract"
    default_hint = "the plugin lies about its results; report it to its author"


class PluginFailure(StellatuneError):
    """Raised when a plugin itself answered with a ``plugin-error``.

    ``case`` is the variant's case, such as ``invalid-arg``.
    """

    code = "plugin-error"
    default_hint = "this is the plugin's own answer; check its configuration and input"

    def __init__(self, case: str, message: str, **fields: Any) -> None:
        super().__init__(f"{case}: {message}" if message else case, **fields)
        self.case = case
        self.details["case"] = case


class HostImportFailed(StellatuneError):
    """Raised when one of the host's own imports failed unexpectedly during a guest's call; after that call."""

    code = "host-import-failed"


class InstanceDead(StellatuneError):
    """Raised when an instance is used that trapped, timed out or was closed."""

    code = "instance-dead"
    default_hint = "make a new instance"


class StoreMisuse(StellatuneError):
    """Raised when a Store is entered by two threads, re-entered, or given another Store's objects."""

    code = "store-misuse"


class ValueInvalid(StellatuneError):
    """Raised when a value of the host does not fit the WIT type it is to be sent as."""

    code = "value-invalid"


# --- executor and hot path ------------------------------------------------------------------------------------------


class AbilityNotFound(StellatuneError):
    """Raised when no plugin serves the ability that was asked for on the chosen route."""

    code = "ability-not-found"
    default_hint = "`stellatune plugin list` shows what is there; `--runtime` selects where to look"


class HookFailed(StellatuneError):
    """Raised when ``on-enable`` or ``on-disable`` failed or ran out of time; the teardown was forced."""

    code = "hook-failed"
    default_hint = "the plugin could not be enabled or stopped cleanly; report it to its author"


class HotPathRejected(StellatuneError):
    """Raised when a core module or its description breaks the hot-path ABI; ``details['rule']`` names the rule."""

    code = "hot-path-rejected"
    default_hint = "the slower component path is used instead; the plugin's author should correct the module"


class AbiVersionMismatch(HotPathRejected):
    """Raised when a core module speaks a version of the hot-path ABI that this host does not."""

    code = "abi-version-mismatch"


class StageFailed(StellatuneError):
    """Raised when a stage of the chain answered with an error code."""

    code = "stage-failed"
    default_hint = "the stage was bypassed; check its configuration"


class LayoutUnsupported(StellatuneError):
    """Raised when a stage supports neither the channel layout nor any that it could be mapped to."""

    code = "layout-unsupported"
    default_hint = "take the stage out of the chain, or render from a source with another layout"


class ConfigRejected(StellatuneError):
    """Raised when a plugin refused its configuration."""

    code = "config-rejected"
    default_hint = "`stellatune plugin info ID` shows the configuration's schema and defaults"


class NativePluginFailed(StellatuneError):
    """Raised when a native plugin could not be loaded, or raised."""

    code = "native-plugin-failed"
    default_hint = "check that the Python package behind it is installed whole"


# --- sessions -------------------------------------------------------------------------------------------------------


class InputUnreadable(StellatuneError):
    """Raised when an input is missing or is no audio that any decoder can read."""

    code = "input-unreadable"
    default_hint = "check the path and that the file is audio"


class InputDamaged(StellatuneError):
    """Raised when decoding failed somewhere inside the input."""

    code = "input-damaged"
    default_hint = "the file is damaged; get another copy"


class OutputExists(StellatuneError):
    """Raised when an output is there already."""

    code = "output-exists"
    default_hint = "choose another name, or pass --force to overwrite"


class OutputFailed(StellatuneError):
    """Raised when an output could not be written; no half file was left."""

    code = "output-failed"
    default_hint = "check free space, permissions and the chosen format"


def hides_interrupt(error: BaseException) -> bool:
    """Whether an error only came up while a ``KeyboardInterrupt`` was on its way out.

    ``threading.Condition``, and so every bounded queue, is written in Python: an interrupt in the middle of its
    ``wait`` comes out as a ``RuntimeError`` about its lock.
    """
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        if isinstance(link, KeyboardInterrupt):
            return True
        seen.add(id(link))
        link = link.__cause__ or link.__context__
    return False


def all_errors() -> Iterator[type[StellatuneError]]:
    """Every error class of the taxonomy, in the order of this module."""
    for value in globals().values():
        if isinstance(value, type) and issubclass(value, StellatuneError):
            yield value
