"""What the user says to a plugin's wishes: by flags, on a terminal when asked, or not at all, which is no."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from stellatune_plugins.cli.grant_text import LOCAL_NETWORK, words
from stellatune_plugins.cli.text import printable
from stellatune_plugins.errors import UsageError
from stellatune_plugins.package import Grant, Grants, InstalledPlugin, Manifest, Widening, asked_grants
from stellatune_plugins.package.grants import parse_grant

if TYPE_CHECKING:
    from rich.console import Console

ALL = "all"


def named(texts: Iterable[str], everything: Iterable[Grant]) -> tuple[Grant, ...]:
    """The grants that flags name; ``all`` is ``everything``.

    Raises:
        UsageError: one is no grant.
    """
    found: dict[Grant, None] = {}
    for text in texts:
        found |= dict.fromkeys(everything if text == ALL else [parse_grant(text)])
    return tuple(found)


def somebody_is_there() -> bool:
    """Whether a question would be seen, and could be answered."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def is_granted(plugin: str, grant: Grant) -> bool:
    """Ask about one grant."""
    return _choice(_console(), f"May {plugin} {printable(words(grant))}?", ["yes", "no"], "no") == "yes"


class Consent:
    """One command's dealings with the user.

    Args:
        grants: where what is granted goes.
        flags: what ``--grant`` said.
        accept: whether ``--accept`` was given.
        ask: whether to ask, where a person sits at a terminal.
    """

    def __init__(self, grants: Grants, flags: Sequence[str] = (), *, accept: bool = False, ask: bool = True) -> None:
        self._grants = grants
        self._flags = flags
        self._accept = accept
        self._ask = ask and somebody_is_there()

    def check(self, manifest: Manifest) -> None:
        """Before anything is installed: whether what the flags grant is asked for.

        Raises:
            UsageError, GrantRefused: a flag is of no use.
        """
        self._grants.require_grantable(manifest, named(self._flags, asked_grants(manifest)))

    def accepts(self, wider: Widening) -> bool:
        """Whether a version that asks for more comes in."""
        if self._accept or self._flags:
            return True
        if not self._ask:
            return False
        console = _console()
        console.print(
            f"{wider.plugin} {printable(wider.to_version)} asks for more than {printable(wider.from_version)}:"
        )
        _show(console, wider.grants)
        if wider.local_network:
            console.print(f"  {LOCAL_NETWORK}")
        return _choice(console, "Upgrade? You grant or refuse it then", ["yes", "no"], "no") == "yes"

    def settle(self, plugin: InstalledPlugin, wishes: Sequence[Grant] | None = None) -> tuple[Grant, ...]:
        """Grant what the user grants of the wishes (all that is missing, where left out); gives what is new.

        Raises:
            StellatuneError: it cannot be granted.
        """
        manifest = plugin.manifest
        if self._flags:
            return self._grants.grant(manifest, named(self._flags, asked_grants(manifest)))
        missing = self._grants.missing(manifest)
        open_wishes = [wish for wish in missing if wishes is None or wish in wishes]
        if not open_wishes or not self._ask:
            return ()
        return self._grants.grant(manifest, self._asked(plugin, open_wishes))

    @staticmethod
    def _asked(plugin: InstalledPlugin, wishes: Sequence[Grant]) -> list[Grant]:
        console = _console()
        console.print(f"{plugin.id} {printable(plugin.version)} asks to:")
        _show(console, wishes)
        answer = _choice(console, "Grant it?", [ALL, "some", "none"], "none")
        if answer == "some":
            return [w for w in wishes if _choice(console, f"  {printable(words(w))}?", ["yes", "no"], "no") == "yes"]
        return list(wishes) if answer == ALL else []


def require_one(flags: Sequence[str], packages: int) -> None:
    """A grant by name is for one plugin; ``all`` may go to several.

    Raises:
        UsageError: it is not.
    """
    if packages != 1 and any(flag != ALL for flag in flags):
        raise UsageError("--grant with a name is for one package", hint="name one package, or pass --grant all")


def _console() -> Console:
    from rich.console import Console  # noqa: PLC0415 - takes 0.1 s, and only who is asked waits for it

    return Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)


def _show(console: Console, wishes: Iterable[Grant]) -> None:
    for wish in wishes:
        console.print(f"  {printable(words(wish))}  ({printable(wish)})")


def _choice(console: Console, question: str, choices: list[str], default: str) -> str:
    """One of the choices, by its first letter too; the end of the input means the default."""
    while True:
        try:
            prompt = f"{question} [{'/'.join(choices)}] ({default}) "
            answer = console.input(prompt, markup=False).strip().lower()
        except EOFError:
            return default
        found = [choice for choice in choices if answer and choice.startswith(answer)]
        if not answer or len(found) == 1:
            return found[0] if found else default
