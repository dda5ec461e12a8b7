"""``stellatune plugin install``."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from stellatune_plugins.cli.bundled import bundled_packages, find_package
from stellatune_plugins.cli.consent import Consent, require_one
from stellatune_plugins.cli.options import Common
from stellatune_plugins.cli.placing import Placed, Placer
from stellatune_plugins.cli.several import Outcome, each
from stellatune_plugins.cli.workbench import Workbench
from stellatune_plugins.errors import UsageError


def install(
    *packages: str,
    bundled: Annotated[bool, Parameter(name="--bundled")] = False,
    grant: Annotated[tuple[str, ...], Parameter(name="--grant", negative=())] = (),
    accept: bool = False,
    common: Common | None = None,
) -> int:
    """Install packages.

    A package is checked before anything of it counts: its archive, its manifest, its worlds against what its code
    really imports and exports, and that its code compiles. It is installed whole or not at all.

    What a package asks for is granted by you: with --grant, or when asked on a terminal. Nothing is granted otherwise.

    Args:
        packages: Folders or zips with a plugin.json, or names of bundled packages.
        bundled: Install every package that comes with the program; what is there already is brought up to date.
        grant: Grant this, see `stellatune plugin permissions`; `all` for everything asked for. May be repeated.
        accept: With --bundled, bring plugins up to date that ask for more by now, and grant none of that.
        common: Options of every command.
    """
    common = common or Common()
    if not packages and not bundled:
        raise UsageError("name a package, or pass --bundled", hint="see `stellatune plugin install --help`")
    with Workbench(common) as bench:
        placer = Placer(bench, Consent(bench.grants, grant, accept=accept, ask=not common.json))
        ours = bundled_packages() if bundled else {}
        require_one(grant, len(ours) + len(packages))

        def one(text: str) -> Outcome:
            if text in ours:
                return told(placer.ensure(ours[text]))
            return told(placer.install(find_package(text)))

        return each((*ours, *packages), one, key="installed", as_json=common.json)


def told(placed: Placed) -> Outcome:
    """The outcome of one installation."""
    return placed.to_dict(), placed.line()
