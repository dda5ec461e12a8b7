"""``stellatune plugin verify``."""

from __future__ import annotations

from stellatune_plugins.cli.entry import EXIT_FAILED, EXIT_OK
from stellatune_plugins.cli.options import Common
from stellatune_plugins.cli.output import print_json, print_text
from stellatune_plugins.cli.text import printable
from stellatune_plugins.cli.workbench import Workbench


def verify(*plugins: str, common: Common | None = None) -> int:
    """Compare installed files with the sums kept at installation. Exit code 1 where they differ.

    Args:
        plugins: Ids; without any, all installed plugins.
        common: Options of every command.
    """
    common = common or Common()
    with Workbench(common) as bench:
        scan = bench.store.scan()
        damaged = {d.plugin: d.problem for d in scan.damaged} if not plugins else {}
        found = {name: bench.store.verify(name) for name in plugins or [p.id for p in scan.installed]}
    if common.json:
        print_json(
            {
                "verified": [
                    {"id": name, "problems": [{"path": p.path, "problem": str(p.problem)} for p in problems]}
                    for name, problems in found.items()
                ],
                "damaged": [{"id": name, "problem": problem} for name, problem in damaged.items()],
            }
        )
    else:
        for name, problems in found.items():
            print_text(f"{name}: " + ("as installed" if not problems else f"{len(problems)} files differ"))
            for problem in problems:
                print_text(f"  {problem.problem}: {printable(problem.path)}")
        for name, text in damaged.items():
            print_text(f"{printable(name)}: damaged: {printable(text)}")
    return EXIT_FAILED if damaged or any(found.values()) else EXIT_OK
