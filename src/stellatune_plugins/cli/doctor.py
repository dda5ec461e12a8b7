"""``stellatune doctor``."""

from __future__ import annotations

from stellatune_plugins.cli.checks import Grade, run_checks
from stellatune_plugins.cli.entry import EXIT_FAILED, EXIT_OK
from stellatune_plugins.cli.options import Common
from stellatune_plugins.cli.output import print_json, print_text
from stellatune_plugins.cli.workbench import Workbench


def doctor(*, common: Common | None = None) -> int:
    """Check that everything here works: interpreter, engine, home, cache, plugins of both runtimes, programs.

    Installed plugins are compared with what was installed, compiled where they are not in the cache, checked against
    their worlds and enabled once, in their sandbox. Exit code 1 where a check failed; notes do not count.

    Args:
        common: Options of every command.
    """
    common = common or Common()
    marks = {Grade.OK: "ok  ", Grade.NOTE: "note", Grade.FAILED: "FAIL"}
    findings = []
    with Workbench(common) as bench:
        for finding in run_checks(bench):
            findings.append(finding)
            if not common.json:
                print_text(f"{marks[finding.grade]}  {finding.check:9} {finding.text}")
                if finding.hint:
                    print_text(f"      {'':9} hint: {finding.hint}")
        logs = bench.home.logs
    failed = sum(finding.grade is Grade.FAILED for finding in findings)
    if common.json:
        print_json({"ok": not failed, "checks": findings, "logs": str(logs)})
    else:
        notes = sum(finding.grade is Grade.NOTE for finding in findings)
        print_text(f"\n{len(findings) - failed - notes} ok, {notes} notes, {failed} failed; logs are in {logs}")
    return EXIT_FAILED if failed else EXIT_OK
