"""``stellatune plugin upgrade``."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from stellatune_plugins.cli.bundled import bundled_packages, find_package
from stellatune_plugins.cli.consent import Consent, require_one
from stellatune_plugins.cli.options import Common
from stellatune_plugins.cli.placing import Placer
from stellatune_plugins.cli.several import Outcome, each
from stellatune_plugins.cli.workbench import Workbench
from stellatune_plugins.errors import UsageError


def upgrade(
    *packages: str,
    bundled: Annotated[bool, Parameter(name="--bundled")] = False,
    allow_downgrade: bool = False,
    grant: Annotated[tuple[str, ...], Parameter(name="--grant", negative=())] = (),
    accept: bool = False,
    common: Common | None = None,
) -> int:
    """Replace installed plugins by other versions. The old version stays; `plugin rollback` brings it back.

    What was granted stays granted as far as the new version asks for it too. A version that asks for more is held
    until you accept that: with --accept or --grant, or when asked on a terminal.

    Args:
        packages: Folders or zips of the new versions, or names of bundled packages.
        bundled: Bring every installed plugin that comes with the program up to date.
        allow_downgrade: Take an older version too.
        grant: Accept what is new, and grant this; `all` for everything asked for. May be repeated.
        accept: Accept what is new, and grant none of it.
        common: Options of every command.
    """
    common = common or Common()
    if not packages and not bundled:
        raise UsageError("name a package, or pass --bundled", hint="see `stellatune plugin upgrade --help`")
    with Workbench(common) as bench:
        placer = Placer(bench, Consent(bench.grants, grant, accept=accept, ask=not common.json))
        here = {plugin.id for plugin in bench.store.list()} if bundled else set()
        ours = {name: folder for name, folder in bundled_packages().items() if bundled and name in here}
        require_one(grant, len(ours) + len(packages))

        def one(text: str) -> Outcome:
            if text in ours:
                placed = placer.ensure(ours[text])
            else:
                placed = placer.upgrade(find_package(text), allow_downgrade=allow_downgrade)
            return placed.to_dict(), placed.line()

        return each((*ours, *packages), one, key="upgraded", as_json=common.json)
