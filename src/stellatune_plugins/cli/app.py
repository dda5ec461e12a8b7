"""The tree of commands, and what happens round each of them."""

from __future__ import annotations

import itertools
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from cyclopts import App, CycloptsError, Parameter

from stellatune_plugins import __version__
from stellatune_plugins.cli import failures
from stellatune_plugins.cli.entry import EXIT_FAILED, EXIT_OK, EXIT_USAGE
from stellatune_plugins.cli.options import Common
from stellatune_plugins.errors import (
    HookFailed,
    Interrupted,
    PluginFailure,
    StellatuneError,
    UsageError,
    hides_interrupt,
)

_HERE = "stellatune_plugins.cli"


_COMMANDS = {
    "render": "Send audio files through a chain of plugins, into files or to a device.",
    "lyrics": "Print the lyrics of a track, or search a provider for them.",
    "devices": "List where music can go: the targets of every output sink.",
    "doctor": "Check that everything here works.",
}
_PLUGIN_COMMANDS = {
    "install": "Install packages: folders, zips, or names of bundled ones.",
    "list": "List what is there: installed packages and native plugins.",
    "info": "Show one plugin: versions, abilities, configuration, permissions.",
    "permissions": "Show what a plugin may do; grant and revoke.",
    "upgrade": "Replace plugins by other versions; the old one stays for rollback.",
    "rollback": "Go back to the version before the last upgrade.",
    "uninstall": "Remove plugins.",
    "verify": "Compare installed files with what was installed.",
    "logs": "Show what a plugin, its guests and its sidecars said.",
}
_SIDECAR_COMMANDS = {
    "list": "List the sidecars that run now, and those in quarantine.",
    "lift": "Let a sidecar start again that was quarantined.",
}

_SOURCE_COMMANDS = {
    "browse": "List what a source has.",
    "search": "Search a source.",
}
_GROUPS = {
    "source": ("Browse and search the catalogues of source plugins.", _SOURCE_COMMANDS),
    "plugin": ("Install, look at and remove plugins.", _PLUGIN_COMMANDS),
    "sidecar": ("Look at the helper programs of plugins.", _SIDECAR_COMMANDS),
}


def make_app(tokens: Sequence[str] = (), *, short: bool = True) -> App:
    """Every command; each one's module is imported when it is called.

    Lists of commands show the short texts above. The command that ``tokens`` call (all of them, where ``short`` is
    off) shows its own docstring instead, which is longer and costs its import.
    """
    words = [token for token in tokens if not token.startswith("-")]
    app = App(
        name="stellatune",
        help="Sandboxed WebAssembly audio plugins beside native ones: install them, and send music through them.",
        version=f"stellatune {__version__}",
        default_parameter=Parameter(negative=(), show_default=False),
        # Docstrings are wrapped anew by the markdown renderer, whose import takes 0.1 s; the short texts need it not.
        help_format="markdown" if words or not short else "plaintext",
        suppress_keyboard_interrupt=False,
    )
    for name, text in _COMMANDS.items():
        app.command(f"{_HERE}.{name}:{name}", name=name, help=text if short and words[:1] != [name] else None)
    for group, (about, commands) in _GROUPS.items():
        part = App(name=group, help=about)
        for name, text in commands.items():
            shown = text if short and words[:2] != [group, name] else None
            part.command(f"{_HERE}.{group}.{name}:{name}", name=name, help=shown)
        app.command(part)
    return app


def run(tokens: Sequence[str]) -> int:
    """Parse and run one command line; every failure becomes its message and its exit code."""
    before_dashes = tokens[: tokens.index("--")] if "--" in tokens else tokens
    as_json, debug = "--json" in before_dashes, "--debug" in before_dashes
    try:
        try:
            result = make_app(tokens)(tokens, exit_on_error=False, print_error=False, result_action="return_value")
            sys.stdout.flush()
        except CycloptsError as error:
            raise _usage(error) from error
    except KeyboardInterrupt:
        failures.show(Interrupted("stopped"), as_json=as_json)
        return EXIT_FAILED
    except BrokenPipeError:
        raise
    except StellatuneError as error:
        if debug and not isinstance(error, UsageError):
            traceback.print_exc()
        failures.show(error, as_json=as_json)
        if not as_json and isinstance(error, (PluginFailure, HookFailed)):
            _offer(error, before_dashes)
        return EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILED
    except Exception as error:  # noqa: BLE001 - the last line: a traceback is no message for a user
        if hides_interrupt(error):
            failures.show(Interrupted("stopped"), as_json=as_json)
            return EXIT_FAILED
        log = _keep_traceback(before_dashes)
        if debug:
            traceback.print_exc()
        failures.show(failures.unexpected(error, log=log), as_json=as_json)
        return EXIT_FAILED
    return result if isinstance(result, int) else EXIT_OK


def _usage(error: CycloptsError) -> UsageError:
    message = " ".join(str(error).split()).rstrip(".")
    chain = getattr(error, "command_chain", None) or ()
    command = " ".join(("stellatune", *chain))
    return UsageError(message[:1].lower() + message[1:], hint=f"see `{command} --help`")


def _home(tokens: Sequence[str]) -> Path | None:
    """The home that a command line names, which perhaps could not be parsed."""
    home = next(
        (value for flag, value in itertools.pairwise(tokens) if flag == "--home"),
        next((token.removeprefix("--home=") for token in tokens if token.startswith("--home=")), None),
    )
    return Path(home) if home else None


def _offer(error: StellatuneError, tokens: Sequence[str]) -> None:
    """A plugin was denied what the user could grant: ask, where there is somebody to ask."""
    from stellatune_plugins.cli.first_use import offer  # noqa: PLC0415 - hardly ever

    try:
        offer(error.plugin, error.details.get("grant"), Common(home=_home(tokens)))
    except StellatuneError as other:
        failures.show(other, as_json=False)


def _keep_traceback(tokens: Sequence[str]) -> str | None:
    """Write the present traceback into the log; gives the log's path, or nothing where even that failed."""
    from stellatune_plugins.observe.logs import main_log  # noqa: PLC0415 - only when something broke

    try:
        from stellatune_plugins.model.home import Home  # noqa: PLC0415

        log = main_log(Home.resolve(_home(tokens)).logs)
        log.write("cli.unexpected", argv=list(sys.argv), traceback=traceback.format_exc(), pid=os.getpid())
    except Exception:  # noqa: BLE001 - the log is a courtesy; the failure itself is still shown
        return None
    return str(log.path)
