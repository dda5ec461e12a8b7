"""From what a user names to the jobs of a batch."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from stellatune_plugins.errors import InputUnreadable, UsageError
from stellatune_plugins.session.items import MAX_ITEM, label_of
from stellatune_plugins.session.report import RenderJob, RenderOptions
from stellatune_plugins.session.runtime import RuntimeSpec

DEFAULT_FORMAT: Final = "flac"
"""Of files in an output folder, where no format was asked for."""
MAX_JOBS: Final = 100_000


class BatchPlan(msgspec.Struct, frozen=True):
    """Everything that worker processes need to know."""

    jobs: tuple[RenderJob, ...]
    options: RenderOptions = RenderOptions()
    runtime: RuntimeSpec = RuntimeSpec()


def plan_batch(
    inputs: Sequence[str | Path],
    output: str | Path,
    *,
    extensions: Collection[str],
    options: RenderOptions | None = None,
    runtime: RuntimeSpec | None = None,
) -> BatchPlan:
    """Map inputs to outputs.

    One file goes to ``output`` itself, unless that is a folder. Several inputs, or a folder, go into the folder
    ``output``: a folder's files keep their places below it, under the folder's own name where there are several inputs.

    Args:
        inputs: files and folders.
        output: a file, or a folder, which need not exist yet; a name that ends in ``/`` is a folder's.
        extensions: what is audio in a folder, lower case without dots.
        options: how to render.
        runtime: how workers make what they need.

    Raises:
        InputUnreadable: an input is not there, or a folder has no audio.
        UsageError: two inputs would go to one output, or an output is one of the inputs.
    """
    options = options or RenderOptions()
    paths = _present(inputs)
    out = Path(output)
    into_folder = len(paths) > 1 or paths[0].is_dir() or out.is_dir() or str(output).endswith(os.sep)
    if into_folder and out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; several inputs need a folder", operation="render.plan")
    if into_folder:
        suffix = "." + (options.format or DEFAULT_FORMAT)
        pairs = [
            (source, (out / place).with_name(place.stem + suffix))
            for path in paths
            for source, place in _places(path, extensions, out, several=len(paths) > 1)
        ]
    else:
        pairs = [(paths[0], out)]
    pairs = list(dict.fromkeys(pairs))
    _refuse_collisions(pairs)
    jobs = tuple(RenderJob(str(source), str(target)) for source, target in pairs)
    return BatchPlan(jobs, options, runtime or RuntimeSpec())


def plan_items(
    items: Sequence[str],
    output: str | Path,
    *,
    options: RenderOptions | None = None,
    runtime: RuntimeSpec | None = None,
) -> BatchPlan:
    """Map tracks of a source to outputs.

    One goes to ``output`` itself, unless that is a folder. Several go into the folder ``output``, each under a number
    and what the item is called.

    Args:
        items: tracks' JSON or URIs.
        output: a file, or a folder, which need not exist yet; a name that ends in ``/`` is a folder's.
        options: how to render.
        runtime: how workers make what they need; its factory must know a source.

    Raises:
        UsageError: there is nothing to render, or the output is a file where several need a folder.
    """
    options = options or RenderOptions()
    if not items:
        raise UsageError("there is nothing to render", operation="render.plan")
    for item in items:
        if not 1 <= len(item) <= MAX_ITEM:
            raise UsageError(f"a track of {len(item)} characters is none", operation="render.plan")
    out = Path(output)
    into_folder = len(items) > 1 or out.is_dir() or str(output).endswith(os.sep)
    if into_folder and out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; several tracks need a folder", operation="render.plan")
    suffix = "." + (options.format or DEFAULT_FORMAT)
    digits = max(2, len(str(len(items))))
    jobs = []
    for number, item in enumerate(items, 1):
        name = label_of(item)
        target = out / f"{number:0{digits}} {_file_name(name)}{suffix}" if into_folder else out
        jobs.append(RenderJob(name, str(target), item=item))
    return BatchPlan(tuple(jobs), options, runtime or RuntimeSpec())


def plan_playing(
    inputs: Sequence[str],
    *,
    sink: str,
    target_json: str = "{}",
    items: bool = False,
    extensions: Collection[str] = (),
    options: RenderOptions | None = None,
    runtime: RuntimeSpec | None = None,
) -> BatchPlan:
    """Play inputs one after the other, a folder's in the order of their names.

    Args:
        inputs: files and folders, or tracks' JSON and URIs.
        sink: what to call where they go.
        target_json: the sink's target.
        items: whether the inputs are a source's tracks.
        extensions: what is audio in a folder, lower case without dots.
        options: how to render.
        runtime: how to make what is needed; its sink must be the one that knows the target.

    Raises:
        InputUnreadable: an input is not there, or a folder has no audio.
        UsageError: there is nothing to play.
    """
    if items:
        planned = plan_items(inputs, Path(), options=options, runtime=runtime)
    else:
        files = [str(file) for path in _present(inputs) for file, _ in _places(path, extensions, None, several=False)]
        planned = BatchPlan(
            tuple(RenderJob(file, sink) for file in files), options or RenderOptions(), runtime or RuntimeSpec()
        )
    jobs = [msgspec.structs.replace(job, output=sink, target=target_json) for job in planned.jobs]
    return msgspec.structs.replace(planned, jobs=tuple(jobs))


def _present(inputs: Sequence[str | Path]) -> list[Path]:
    """The inputs' paths, all of which are there."""
    paths = [Path(given) for given in inputs]
    if not paths:
        raise UsageError("there is nothing to render", operation="render.plan")
    for path in paths:
        if not path.exists():
            raise InputUnreadable(f"{path} is not there", operation="render.plan")
    return paths


def _file_name(text: str) -> str:
    """A track's name as a file may be called anywhere: no separators, nothing hidden, not long."""
    kept = "".join(c if c.isalnum() or c in " -_.,()'&+!" else "_" for c in text.rstrip("/").rpartition("/")[2])
    return kept.strip(" .")[:80].strip() or "track"


def audio_files(folder: Path, extensions: Collection[str], *, leave_out: Path | None = None) -> Iterator[Path]:
    """A folder's audio files, those of its subfolders included, in order; hidden ones and ``leave_out`` are not."""
    skipped = leave_out.resolve() if leave_out is not None else None
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(d for d in folders if not d.startswith(".") and (Path(root) / d).resolve() != skipped)
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix[1:].lower() in extensions:
                yield Path(root) / name


def _places(path: Path, extensions: Collection[str], out: Path | None, *, several: bool) -> list[tuple[Path, Path]]:
    """Each file of an input, and its place below the output folder."""
    if not path.is_dir():
        return [(path, Path(path.name))]
    base = Path(path.resolve().name) if several else Path()
    found = [(file, base / file.relative_to(path)) for file in audio_files(path, extensions, leave_out=out)]
    if not found:
        raise InputUnreadable(f"{path} has no audio files", operation="render.plan")
    if len(found) > MAX_JOBS:
        raise UsageError(f"{path} has more than {MAX_JOBS} audio files", operation="render.plan")
    return found


def _refuse_collisions(pairs: Sequence[tuple[Path, Path]]) -> None:
    """Names that some file systems take for one count as one."""
    inputs = {_folded(source) for source, _ in pairs}
    taken: dict[str, Path] = {}
    problems = []
    for source, target in pairs:
        name = _folded(target)
        if name in inputs:
            problems.append(f"{target} is an input itself")
        elif name in taken and taken[name] != source:
            problems.append(f"{taken[name]} and {source} would both go to {target}")
        taken.setdefault(name, source)
    if problems:
        raise UsageError("; ".join(problems[:10]), operation="render.plan", problems=problems)


def _folded(path: Path) -> str:
    return unicodedata.normalize("NFC", str(path.resolve())).casefold()
