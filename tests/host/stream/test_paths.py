"""Ways out of a granted folder: none leads out, whichever way the system opens files."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from net_bench import Bench

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.stream import GuestStreams, OpenRequest, StreamKind, beneath

SECRET = b"the secret"
INSIDE = b"music"


class Tree:
    """A granted folder among others, with everything in it that could lead astray."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench = bench
        self.music = folder / "music"
        self.outside = folder / "outside"
        self.twin = folder / "music-twin"
        for made in (self.music / "album" / "disc", self.outside / "album", self.twin, bench.data):
            made.mkdir(parents=True, exist_ok=True)
        for secret in (self.outside / "secret", self.outside / "album" / "a", self.twin / "secret", folder / "secret"):
            secret.write_bytes(SECRET)
        for file in (
            "a",
            "album/a",
            "album/disc/a",
            "album/ä ö.flac",
            "%2e%2e",
            "a\\b",
            "~",
            "-",
            "...",
            "x:y",
            "a b ",
        ):
            (self.music / file).write_bytes(INSIDE)
        (bench.root / "only-in-package").write_bytes(INSIDE)
        (bench.root / "in-both").write_bytes(SECRET)
        (bench.data / "in-both").write_bytes(INSIDE)
        links = {
            "to-file": self.outside / "secret",
            "to-folder": self.outside,
            "to-root": Path("/"),
            "up": Path("../outside/secret"),
            "up-folder": Path(".."),
            "far-up": Path("/".join([".."] * 30) + str(self.outside / "secret")),
            "album/up": Path("../../outside/secret"),
            "album/up-folder": Path("../../outside"),
            "ring": Path("ring"),
            "ring-a": Path("ring-b"),
            "ring-b": Path("ring-a"),
            "chain-1": Path("chain-2"),
            "chain-2": Path("album/up"),
            "proc-root": Path("/proc/self/root"),
            "proc-cwd": Path("/proc/self/cwd"),
            "proc-fd": Path("/proc/self/fd"),
            "proc-exe": Path("/proc/self/exe"),
            "environ": Path("/proc/self/environ"),
            "passwd": Path("/etc/passwd"),
            "zero": Path("/dev/zero"),
            "stdin": Path("/dev/stdin"),
            "dangling": self.outside / "not-there",
            "absolute-inside": self.music / "a",
        }
        for name, target in links.items():
            (self.music / name).symlink_to(target)
        (bench.data / "to-file").symlink_to(self.outside / "secret")
        (bench.data / "to-folder").symlink_to(self.outside)
        (bench.root / "to-file").symlink_to(self.outside / "secret")
        os.mkfifo(self.music / "pipe")
        with contextlib.suppress(PermissionError):
            os.mknod(self.music / "device", 0o20600, os.makedev(1, 5))  # /dev/zero, where one may make it
        listening = socket.socket(socket.AF_UNIX)
        here = os.open(self.music, os.O_RDONLY)
        try:
            listening.bind(f"/proc/self/fd/{here}/socket")  # its path may be longer than a socket's name
        finally:
            os.close(here)
            listening.close()
        self.streams: GuestStreams = bench.network(f"files:{self.music}").streams

    def read(self, target: str) -> bytes:
        """What the stream gives."""
        stream = self.streams.open(OpenRequest(kind=StreamKind.FILE, target=target))
        try:
            return stream.read(1000)
        finally:
            stream.close()


@pytest.fixture(params=["openat2", "by steps"])
def tree(request: pytest.FixtureRequest, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """See the class; opened in one step, and folder by folder."""
    if request.param == "by steps":
        monkeypatch.setattr(beneath, "has_openat2", lambda: False)
    return Tree(bench, tmp_path)


DENIED = {"denied"}
INVALID = {"invalid-arg"}
MISSING = {"not-found"}
NO_FILE = {"unsupported"}
ANY = DENIED | INVALID | MISSING | NO_FILE | {"io"}

PROBES: list[tuple[str, set[str]]] = [
    # Elsewhere from the start
    ("/etc/passwd", DENIED),
    ("/", DENIED | INVALID),
    ("//etc/passwd", DENIED),
    ("{outside}/secret", DENIED),
    ("{music}-twin/secret", DENIED),
    ("/proc/self/environ", DENIED),
    ("/proc/self/root{outside}/secret", DENIED),
    ("/dev/zero", DENIED),
    ("/dev/fd/0", DENIED),
    ("{music}", DENIED),
    ("{music}/", DENIED),
    ("{parent}/secret", DENIED),
    # Dots
    ("{music}/../outside/secret", INVALID),
    ("{music}/album/../../outside/secret", INVALID),
    ("{music}/./../outside/secret", INVALID),
    ("{music}//..//outside/secret", INVALID),
    ("{music}/..", INVALID),
    ("{music}/a/../../outside/secret", INVALID),
    ("{music}/not-there/../../outside/secret", INVALID),
    ("{music}/to-folder/../music/a", INVALID),
    ("../outside/secret", INVALID),
    ("..", INVALID),
    (".", INVALID),
    ("./", INVALID),
    ("a/../../outside/secret", INVALID),
    ("file://{music}/../outside/secret", INVALID),
    ("file://{music}/%2e%2e/outside/secret", INVALID),
    ("file://{music}/%2E%2e/outside/secret", INVALID),
    ("file://{music}/..%2foutside/secret", INVALID),
    ("file://{music}%2f..%2foutside%2fsecret", INVALID),
    ("{music}/..%2foutside/secret", MISSING),
    ("{music}/..\\outside\\secret", MISSING),
    ("{music}/%252e%252e/outside/secret", MISSING),
    ("{music}/．．/outside/secret", MISSING),  # noqa: RUF001 - full-width dots
    ("{music}/.. /outside/secret", MISSING),
    ("{music}/\u202e../outside/secret", MISSING),
    # Links
    ("{music}/to-file", DENIED),
    ("{music}/to-folder/secret", DENIED),
    ("{music}/to-folder/album/a", DENIED),
    ("{music}/to-root/etc/passwd", DENIED),
    ("{music}/to-root{outside}/secret", DENIED),
    ("{music}/up", DENIED),
    ("{music}/up-folder/outside/secret", DENIED),
    ("{music}/up-folder/music/a", DENIED),
    ("{music}/far-up", DENIED),
    ("{music}/album/up", DENIED),
    ("{music}/album/up-folder/secret", DENIED),
    ("{music}/ring", DENIED),
    ("{music}/ring-a", DENIED),
    ("{music}/ring/a", DENIED),
    ("{music}/chain-1", DENIED),
    ("{music}/proc-root/etc/passwd", DENIED),
    ("{music}/proc-cwd/a", DENIED),
    ("{music}/proc-fd/0", DENIED),
    ("{music}/proc-exe", DENIED),
    ("{music}/environ", DENIED),
    ("{music}/passwd", DENIED),
    ("{music}/zero", DENIED),
    ("{music}/stdin", DENIED),
    ("{music}/dangling", DENIED),
    ("to-file", DENIED),
    ("to-folder/secret", DENIED),
    ("{data}/to-file", DENIED),
    ("{root}/to-file", DENIED),
    ("{music}/to-file/", DENIED | MISSING),
    ("{music}//to-file", DENIED),
    ("{music}/./to-folder/./secret", DENIED),
    ("file://{music}/to-file", DENIED),
    ("file://{music}/to%2dfile", DENIED),
    # What is no regular file
    ("{music}/album", NO_FILE),
    ("{music}/album/", NO_FILE),
    ("{music}/pipe", NO_FILE),
    ("{music}/socket", NO_FILE),
    ("{music}/device", NO_FILE | MISSING | DENIED),
    # Names and URLs that are none
    ("", INVALID),
    ("\0", INVALID),
    ("{music}/a\0.flac", INVALID),
    ("file://{music}/a%00", INVALID),
    ("file://{music}/%ff", INVALID),
    ("file://{music}/%zz", INVALID),
    ("file://elsewhere{music}/a", INVALID),
    ("file://127.0.0.1{music}/a", INVALID),
    ("file://user@localhost{music}/a", INVALID),
    ("file:a", MISSING),
    ("FILE:///etc/passwd", DENIED),
    ("http://{music}/a", INVALID),
    ("smb://server/share", INVALID),
    ("\\\\server\\share", MISSING),
    ("C:\\Windows\\win.ini", MISSING),
    ("~/secret", MISSING),
    ("~root/.ssh/id_rsa", MISSING),
    ("$HOME/secret", MISSING),
    ("{music}/\ud800", INVALID),
    ("{music}/" + "x" * 5000, INVALID),
    ("{music}/" + "x" * 300, INVALID),
    ("{music}/" + "y/" * 2000 + "a", INVALID | MISSING),
    ("{music}/not-there", MISSING),
    ("{music}/a/b", MISSING),
    ("not-there", MISSING),
]

GOOD = [
    "{music}/a",
    "{music}//a",
    "{music}/./a",
    "{music}/album/disc/a",
    "{music}/album/ä ö.flac",
    "{music}/%2e%2e",
    "{music}/a\\b",
    "{music}/~",
    "{music}/-",
    "{music}/...",
    "{music}/x:y",
    "{music}/a b ",
    "file://{music}/a",
    "file://localhost{music}/a",
    "file:{music}/a",
    "FILE://LOCALHOST{music}/a",
    "file://{music}/album/%C3%A4%20%C3%B6.flac",
    "file://{music}/%252e%252e",
    "in-both",
    "./in-both",
    "only-in-package",
    "{data}/in-both",
    "{root}/only-in-package",
]


def written_out(target: str, tree: Tree) -> str:
    """A probe with this test's folders in it."""
    folders = {
        "{music}": tree.music,
        "{outside}": tree.outside,
        "{parent}": tree.music.parent,
        "{data}": tree.bench.data,
        "{root}": tree.bench.root,
    }
    for word, folder in folders.items():
        target = target.replace(word, str(folder))
    return target


def test_there_are_enough_probes() -> None:
    """60 at least, all different."""
    assert len({target for target, _ in PROBES}) == len(PROBES) >= 60


@pytest.mark.parametrize(
    ("target", "cases"), PROBES, ids=[ascii(target if len(target) < 60 else target[:60]) for target, _ in PROBES]
)
def test_no_probe_gets_out(target: str, cases: set[str], tree: Tree) -> None:
    """Refused with the case that fits; what is denied is on record."""
    with pytest.raises(PluginFailure) as refused:
        tree.read(written_out(target, tree))
    assert refused.value.case in cases
    if "device" not in target:  # which the system itself denies where the file system has none
        assert bool(tree.bench.denials) is (refused.value.case == "denied")


@pytest.mark.parametrize("target", GOOD, ids=ascii)
def test_good_paths_work(target: str, tree: Tree) -> None:
    """Odd names are still names."""
    assert tree.read(written_out(target, tree)) == INSIDE


def test_a_folder_that_was_not_granted_says_what_to_grant(tree: Tree) -> None:
    """With the folder, not the file."""
    with pytest.raises(PluginFailure) as refused:
        tree.read(str(tree.outside / "secret"))
    assert tree.bench.denials[0].grant == f"files:{tree.outside}"
    assert "--grant" in (refused.value.hint or "")


def test_a_link_in_the_grants_place_takes_its_force(tree: Tree) -> None:
    """The granted folder moved away and a link put there: no longer what the user saw."""
    tree.music.rename(tree.music.parent / "moved")
    tree.music.symlink_to(tree.outside)
    with pytest.raises(PluginFailure) as refused:
        tree.read(str(tree.music / "secret"))
    assert refused.value.case == "denied"


def test_a_file_keeps_what_it_was_opened_as(tree: Tree) -> None:
    """Whatever is put in its place later."""
    target = str(tree.music / "a")
    stream = tree.streams.open(OpenRequest(kind=StreamKind.FILE, target=target))
    (tree.music / "a").unlink()
    (tree.music / "a").symlink_to(tree.outside / "secret")
    assert stream.read(100) == INSIDE
    stream.close()


def test_a_relative_link_within_works_where_the_kernel_vouches_for_it(tree: Tree) -> None:
    """Folder by folder, no link is followed."""
    (tree.music / "within").symlink_to("album/disc")
    if beneath.has_openat2():
        assert tree.read(str(tree.music / "within" / "a")) == INSIDE
    else:
        with pytest.raises(PluginFailure) as refused:
            tree.read(str(tree.music / "within" / "a"))
        assert refused.value.case == "denied"


def test_a_data_folder_that_cannot_be_is_an_answer(tree: Tree) -> None:
    """A link in its place: ``io`` for the guest, no crash of the host."""
    moved = tree.bench.data.rename(tree.bench.data.parent / "moved")
    tree.bench.data.symlink_to(moved)
    with pytest.raises(PluginFailure) as refused:
        tree.read("in-both")
    assert refused.value.case == "io"


def test_files_take_no_requests(tree: Tree) -> None:
    """Headers, a body, a method: there is nobody to read them."""
    for fields in ({"headers": (("X", "y"),)}, {"body": b"x"}, {"method": "post"}):
        request = OpenRequest(kind=StreamKind.FILE, target=str(tree.music / "a"), **fields)
        with pytest.raises(PluginFailure, match="no method"):
            tree.streams.open(request)


MET = frozenset({"inside", "denied"})

# --- races ----------------------------------------------------------------------------------------------------------


def race(
    tree: Tree, swap: Callable[[], None], target: Path, rounds: int, until: frozenset[str] = frozenset()
) -> dict[str, int]:
    """Open a path again and again while somebody changes it as fast as possible; how often it ended how.

    Goes on beyond the rounds until every outcome in ``until`` was met, for 20 s at most.
    """
    stop = threading.Event()

    def swapping() -> None:
        while not stop.is_set():
            swap()

    thread = threading.Thread(target=swapping)
    thread.start()
    seen: dict[str, int] = {}
    try:
        start = time.monotonic()
        while sum(seen.values()) < rounds or (until - set(seen) and time.monotonic() - start < 20):
            try:
                data = tree.read(str(target))
            except PluginFailure as failure:
                outcome = failure.case
            else:
                assert data == INSIDE, data
                outcome = "inside"
            seen[outcome] = seen.get(outcome, 0) + 1
    finally:
        stop.set()
        thread.join()
    return seen


@pytest.mark.stress
def test_a_folder_that_turns_into_a_link(tree: Tree, stress_size: Callable[[int, int], int]) -> None:
    """Swapped with a link to a folder that has a file of that name: only ever the right one, or a refusal."""
    real, link, spare = tree.music / "album", tree.music / "album-link", tree.music / "spare"
    link.symlink_to(tree.outside / "album")

    def swap() -> None:
        real.rename(spare)
        link.rename(real)
        spare.rename(link)

    seen = race(tree, swap, real / "a", stress_size(1000, 100_000), MET)
    assert set(seen) <= {"inside", "denied", "not-found", "io"}
    assert set(seen) >= MET, "the race was never met"


@pytest.mark.stress
def test_a_file_that_turns_into_a_link(tree: Tree, stress_size: Callable[[int, int], int]) -> None:
    """The same with the last part of the path."""
    real, link, spare = tree.music / "a", tree.music / "a-link", tree.music / "spare"
    link.symlink_to(tree.outside / "secret")

    def swap() -> None:
        real.rename(spare)
        link.rename(real)
        spare.rename(link)

    seen = race(tree, swap, real, stress_size(1000, 100_000), MET)
    assert set(seen) <= {"inside", "denied", "not-found", "io"}
    assert set(seen) >= MET, "the race was never met"


@pytest.mark.stress
def test_a_folder_that_moves_out_meanwhile(tree: Tree, stress_size: Callable[[int, int], int]) -> None:
    """Moved below another folder and back, with a link on the way that climbs: the kernel must not climb out there."""
    moving, away = tree.music / "album", tree.outside / "moved"
    (moving / "climb").symlink_to("../album/a")
    (tree.outside / "a").write_bytes(SECRET)

    def swap() -> None:
        moving.rename(away)
        away.rename(moving)

    seen = race(tree, swap, moving / "climb", stress_size(1000, 100_000))
    assert set(seen) <= {"inside", "denied", "not-found", "io"}


@pytest.mark.stress
def test_a_file_that_turns_into_a_pipe(tree: Tree, stress_size: Callable[[int, int], int]) -> None:
    """Opening never waits for a writer, and never reads from one."""
    real, pipe, spare = tree.music / "a", tree.music / "pipe", tree.music / "spare"

    def swap() -> None:
        real.rename(spare)
        pipe.rename(real)
        spare.rename(pipe)

    seen = race(tree, swap, real, stress_size(1000, 100_000))
    assert set(seen) <= {"inside", "unsupported", "not-found"}
