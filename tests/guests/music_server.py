"""Supysonic, a real server of the Subsonic API, as a process; and what is needed to start, slow, kill and restart it.

Run as a program, it serves the folder that it is started in. Supysonic knows no tokens, so a gate before it checks them
the way the API says and hands the password on: MD5 by another implementation than the plugin's.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from stellatune_plugins.model import AudioTags, MediaMetadata, Picture
from stellatune_plugins.native.tag_writer import write_tags

USER = "ann"
PASSWORD = "pässword & more"  # noqa: S105 - of a server that lives for a minute
PIECE = 64 * 1024
TITLES = ("Första", "Zweites & more", "Troisième", "第四", "Long")
"""Of the album; the last is 40 s long, the others 2."""

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Gate:
    """Writes down who asks for what, checks tokens, and sends slowly where the file ``slow`` lies."""

    def __init__(self, inner: Application, folder: Path) -> None:
        self._inner = inner
        self._folder = folder

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        query = dict(urllib.parse.parse_qsl(environ["QUERY_STRING"], keep_blank_values=True))
        with (self._folder / "requests.log").open("a", encoding="utf-8") as log:
            asked = {"path": environ["PATH_INFO"], "range": environ.get("HTTP_RANGE"), **query}
            log.write(json.dumps(asked) + "\n")
        if "t" in query and "s" in query and "p" not in query:
            wanted = hashlib.md5((PASSWORD + query["s"]).encode()).hexdigest()  # noqa: S324 - the API's own
            query["p"] = PASSWORD if query["t"] == wanted else "wrong"
            environ["QUERY_STRING"] = urllib.parse.urlencode(query)
        body = self._inner(environ, start_response)
        return self._slowly(body) if environ["PATH_INFO"].startswith("/rest/stream") else body

    def _slowly(self, body: Iterable[bytes]) -> Iterator[bytes]:
        try:
            for data in body:
                for at in range(0, len(data), PIECE):
                    yield data[at : at + PIECE]
                    if (self._folder / "slow").exists():
                        time.sleep(0.02)
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()


def main() -> None:
    """Serve on the port that is the first argument."""
    from supysonic.config import IniConfig  # noqa: PLC0415 - in the server's process alone
    from supysonic.web import create_application  # noqa: PLC0415
    from werkzeug.serving import WSGIRequestHandler, make_server  # noqa: PLC0415

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *args: Any, **kwargs: Any) -> None:
            pass

    application = create_application(IniConfig(["supysonic.conf"]))
    gate: Any = Gate(application, Path.cwd())
    make_server("127.0.0.1", int(sys.argv[1]), gate, threaded=True, request_handler=Quiet).serve_forever()


class MusicServer:
    """The server's process, with its database and music in one folder.

    Args:
        folder: has ``music``, or gets it before :meth:`prepare`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.music = folder / "music"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Make database, user and index, as an administrator does."""
        (self.folder / "supysonic.conf").write_text(
            f"[base]\ndatabase_uri = sqlite:///{self.folder}/supysonic.db\n"
            f"[webapp]\ncache_dir = {self.folder}/cache\nmount_webui = off\n"
            f"[daemon]\nsocket = {self.folder}/daemon.sock\nrun_watcher = off\n",
            "utf-8",
        )
        for command in (
            ("user", "add", USER, "-p", PASSWORD),
            ("folder", "add", "music", str(self.music)),
            ("folder", "scan", "--foreground"),
        ):
            self._run("-m", "supysonic.cli", *command)

    def start(self) -> None:
        """Serve, on the same port each time."""
        with (self.folder / "errors.log").open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).resolve()), str(self.port)],
                cwd=self.folder,
                env=self._environment(),
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        end = time.monotonic() + 40
        while time.monotonic() < end:
            assert self._process.poll() is None, (self.folder / "errors.log").read_text()
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            time.sleep(0.05)
        raise AssertionError("the server does not start")

    def kill(self) -> None:
        """End it at once, whatever it is sending."""
        process, self._process = self._process, None
        if process is not None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()

    @contextlib.contextmanager
    def slow(self) -> Iterator[None]:
        """Streams come at about 3 MB/s meanwhile."""
        flag = self.folder / "slow"
        flag.touch()
        try:
            yield
        finally:
            flag.unlink()

    def requests(self) -> list[dict[str, str | None]]:
        """Everything that was asked for so far."""
        log = self.folder / "requests.log"
        return [json.loads(line) for line in log.read_text("utf-8").splitlines()] if log.exists() else []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask something the way a browser would, past the plugin."""
        query = urllib.parse.urlencode({"u": USER, "p": PASSWORD, "c": "test", "f": "json", **parameters}, doseq=True)
        with urllib.request.urlopen(f"{self.url}/rest/{method}?{query}", timeout=20) as answer:  # noqa: S310 - loopback
            root: dict[str, Any] = json.load(answer)["subsonic-response"]
        assert root["status"] == "ok", root
        return root

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=self.folder, env=self._environment(), capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder), "PYTHONWARNINGS": "ignore"}


def record(path: Path, seconds: float, cover: bytes, **tags: Any) -> None:
    """A track of noise, which no codec makes small."""
    noise = np.random.default_rng(len(str(path))).uniform(-0.5, 0.5, (int(44_100 * seconds), 2))
    soundfile.write(path, noise, 44_100, format="FLAC", subtype="PCM_16")
    with path.open("r+b") as file:
        write_tags(file, "flac", MediaMetadata(tags=AudioTags(**tags), pictures=(Picture("image/png", cover),)))


def png() -> bytes:
    """A picture that other programs read."""
    from PIL import Image  # noqa: PLC0415 - comes with the server

    out = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 30, 30)).save(out, "PNG")
    return out.getvalue()


def start_server(folder: Path) -> MusicServer:
    """A server with one album of five tracks, one of a single track, and a playlist; whoever asks for it kills it."""
    server = MusicServer(folder)
    album = server.music / "Ånn" / "Der Album"
    album.mkdir(parents=True)
    for number, title in enumerate(TITLES, 1):
        record(album / f"{number:02}.flac", 40 if title == "Long" else 2, png(), title=title, album="Der Album",
               artists=("Ånn",), album_artists=("Ånn",), track_number=number, year=2001, genres=("R&B",))  # fmt: skip
    other = server.music / "Bo"
    other.mkdir()
    record(other / "x.flac", 1, png(), title="Alone", album="Single", artists=("Bo",), track_number=1, year=1999)
    server.prepare()
    server.start()
    song = server.call("search3", query="Alone")["searchResult3"]["song"][0]["id"]
    server.call("createPlaylist", name="Mine", songId=song)
    return server


if __name__ == "__main__":
    main()
