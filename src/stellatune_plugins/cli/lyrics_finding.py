"""``stellatune lyrics``: what it does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from stellatune_plugins.cli.options import Common
from stellatune_plugins.cli.output import print_json, print_text
from stellatune_plugins.cli.plugin_spec import PluginSpec
from stellatune_plugins.cli.text import printable
from stellatune_plugins.cli.workbench import Workbench
from stellatune_plugins.contract import LyricCandidate
from stellatune_plugins.errors import InputUnreadable, PluginFailure, UsageError
from stellatune_plugins.model import RuntimeRoute
from stellatune_plugins.model.lrc import parse_lrc
from stellatune_plugins.registry import PluginRuntime
from stellatune_plugins.session import RankedDecoders, open_input

BESIDE = "dev.stellatune.native.lrc-lyrics"
"""Finds lyrics beside files and in their tags; its keyword is a path."""
OPERATION = "lyrics"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What the user asked for; see the options of ``stellatune lyrics``."""

    file: Path | None
    provider: PluginSpec | None
    search: str | None
    pick: int
    route: RuntimeRoute


def show(wanted: Wanted, common: Common) -> None:
    """Find, fetch, print.

    Raises:
        UsageError: there are not so many candidates.
        PluginFailure: nothing was found, or the provider's own answer.
        StellatuneError: the provider cannot be opened.
    """
    if wanted.file is not None and not wanted.file.is_file():
        raise InputUnreadable(f"{wanted.file} is not there", operation=OPERATION)
    with Workbench(common, route=wanted.route) as bench:
        spec = wanted.provider or PluginSpec(BESIDE)
        keyword = _keyword(wanted, bench.runtime)
        opened = bench.runtime.open_lyrics(spec.plugin, type_id=spec.type_id, config_json=spec.config_json)
        bench.compile_note.clear()
        try:
            found = list(opened.instance.search(keyword))
            chosen = _chosen(found, wanted)
            text = opened.instance.fetch(chosen.id)
        finally:
            opened.instance.close()
    if common.json:
        print_json(_json(spec, found, chosen, text))
    else:
        # Line by line: what a server sends must not steer the terminal.
        print_text("\n".join(printable(line) for line in text.splitlines()))


def _keyword(wanted: Wanted, runtime: PluginRuntime) -> str:
    """What to search for."""
    if wanted.search is not None:
        return wanted.search
    assert wanted.file is not None  # noqa: S101 - the command saw to it
    if wanted.provider is None or wanted.provider.plugin == BESIDE:
        return str(wanted.file.resolve())
    session = open_input(wanted.file, RankedDecoders(runtime.decoders(), runtime.spare_decoders()))
    try:
        tags = session.metadata().tags
    finally:
        session.close()
    words = " ".join([*tags.artists[:1], *([tags.title] if tags.title else [])])
    return words or wanted.file.stem


def _chosen(found: Sequence[LyricCandidate], wanted: Wanted) -> LyricCandidate:
    if not found:
        what = wanted.search or str(wanted.file)
        hint = None if wanted.provider else "ask a provider for them: --provider dev.stellatune.lrclib"
        raise PluginFailure("not-found", f"no lyrics for {what}", operation=OPERATION, hint=hint)
    if wanted.pick > len(found):
        raise UsageError(f"--pick {wanted.pick}: there are {len(found)} candidates")
    return found[wanted.pick - 1]


def _json(spec: PluginSpec, found: Sequence[LyricCandidate], chosen: LyricCandidate, text: str) -> dict[str, Any]:
    sheet = parse_lrc(text)
    return {
        "provider": spec.plugin,
        "candidates": [_candidate(candidate) for candidate in found],
        "chosen": _candidate(chosen),
        "synchronised": sheet.synchronised,
        "lines": [{"at_ms": line.at, "text": line.text} for line in sheet.lines],
        "text": text,
    }


def _candidate(candidate: LyricCandidate) -> dict[str, str]:
    return {"id": candidate.id, "title": candidate.title, "artist": candidate.artist}
