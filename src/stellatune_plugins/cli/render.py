"""``stellatune render``: what it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from stellatune_plugins.cli.options import Common
from stellatune_plugins.cli.plugin_spec import parse, parse_json
from stellatune_plugins.errors import UsageError
from stellatune_plugins.model.ids import RuntimeRoute

Format = Literal["wav", "wav16", "wav24", "wav32f", "flac", "flac16", "flac24", "ogg", "opus"]


def render(
    *inputs: Annotated[str, Parameter(name="INPUT")],
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    sink: str | None = None,
    target: str | None = None,
    dsp: Annotated[tuple[str, ...], Parameter(name="--dsp")] = (),
    decoder: str | None = None,
    source: str | None = None,
    rate: int | None = None,
    format_: Annotated[Format | None, Parameter(name="--format")] = None,
    jobs: Annotated[int | None, Parameter(name=["--jobs", "-j"])] = None,
    runtime: RuntimeRoute = RuntimeRoute.NATIVE,
    plot: Path | None = None,
    force: bool = False,
    no_tail: bool = False,
    strict: bool = False,
    common: Common | None = None,
) -> int:
    """Send audio files through a chain of plugins, and write or play the results.

    With --source, the inputs are that plugin's: URIs, or tracks as JSON, as `stellatune source` lists them.

    One input becomes one file. Several files, or folders, go into the folder named by --output, where folders keep
    their shape. Nothing is overwritten without --force, and no half file is left, whatever happens.

    With --sink instead of --output, the inputs are played one after the other; Ctrl-C stops.

    Args:
        inputs: Audio files and folders, or a source's tracks.
        output: The file to make, or the folder for several.
        sink: The output sink to play to: ID[/TYPE_ID][=JSON|=@FILE], such as dev.stellatune.device.
        target: Where the sink plays, as JSON or @FILE; `stellatune devices` lists targets. Default: the sink's own.
        dsp: A stage of the chain: ID[/TYPE_ID][=JSON|=@FILE], such as 'dev.stellatune.gain={"gain_db": -3}'. Repeat
            it for more stages; they are passed in this order.
        decoder: The plugin that decodes every input: ID[/TYPE_ID][=JSON|=@FILE]. Default: the one with the best score
            for the extension; one that cannot open the data gives way to the next.
        source: The plugin that the inputs come from: ID[/TYPE_ID][=JSON|=@FILE].
        rate: Sample rate of the result in hertz. Default: the input's.
        format_: Format of the result. Default: by the output's extension, FLAC in a folder.
        jobs: Files that are rendered at the same time. Default: one a processor.
        runtime: Where plugins are looked up: native ones (the default), WebAssembly ones, or native first.
        plot: A PNG for one file, a folder for several: waveform and spectrum before and after, and the chain's
            frequency response.
        force: Overwrite what is there.
        no_tail: Stop at the input's end instead of letting the sound fade.
        strict: Fail where a plugin cannot be started, instead of going on without it and saying so.
        common: Options of every command.
    """
    common = common or Common()
    stages = tuple(parse(text) for text in dsp)
    if not inputs:
        raise UsageError("there is nothing to render", hint="see `stellatune render --help`")
    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs {jobs}: at least one is needed")
    if (output is None) == (sink is None):
        raise UsageError("a render goes to --output or to --sink", hint="name one of the two")
    if sink is None and target is not None:
        raise UsageError("--target is for --sink")
    unused = {"--format": format_, "--jobs": jobs, "--plot": plot, "--force": force or None}
    if sink is not None and any(value is not None for value in unused.values()):
        names = " and ".join(name for name, value in unused.items() if value is not None)
        raise UsageError(f"{names} is for files; --sink makes none")
    # What renders loads numpy, the decoder and the engine; a mistyped option need not wait for them.
    from stellatune_plugins.cli.rendering import Wish, carry_out  # noqa: PLC0415

    wish = Wish(
        inputs=inputs,
        output=output,
        sink=None if sink is None else parse(sink, "--sink"),
        target_json=None if target is None else parse_json(target, "--target"),
        stages=stages,
        decoder=None if decoder is None else parse(decoder, "--decoder"),
        source=None if source is None else parse(source, "--source"),
        rate=rate,
        format=format_,
        jobs=jobs,
        route=runtime,
        plot=plot,
        force=force,
        tail=not no_tail,
        strict=strict,
    )
    return carry_out(wish, common)
