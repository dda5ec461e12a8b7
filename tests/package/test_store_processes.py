"""Several processes change one store at once, while another reads it without a lock."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from stellatune_plugins.observe import EventBus
from stellatune_plugins.package import InstallStore

ID = "org.example.gain"

WORKER = """
import random, sys
from pathlib import Path
from stellatune_plugins.errors import PluginAlreadyInstalled, PluginNotInstalled, StoreBusy
from stellatune_plugins.observe import EventBus
from stellatune_plugins.package import InstallStore

seed, root, sources = int(sys.argv[1]), Path(sys.argv[2]), [Path(p) for p in sys.argv[3:]]
chance = random.Random(seed)
store = InstallStore(root, EventBus(), lock_seconds=60)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(25):
    operation = chance.choice(["install", "upgrade", "upgrade", "rollback", "uninstall", "recover"])
    try:
        if operation == "install":
            store.install(chance.choice(sources))
        elif operation == "upgrade":
            store.upgrade(chance.choice(sources), allow_downgrade=True)
        elif operation == "recover":
            store.recover()
        else:
            getattr(store, operation)("org.example.gain")
    except (PluginAlreadyInstalled, PluginNotInstalled, StoreBusy):
        pass
print("done", flush=True)
"""


def test_processes_that_change_one_plugin_at_once_do_not_hurt_each_other(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """Three writers at random, one reader: every state that is seen is one whole version, and nothing is left."""
    versions = [str(n) for n in range(1, 5)]
    sources = [make_folder(v, version=v, files={"data.txt": v.encode() * 5000}) for v in versions]
    root = tmp_path / "plugins"
    store = InstallStore(root, EventBus())
    store.install(sources[0])
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(seed), str(root), *map(str, sources)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(3)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        scans = 0
        while any(worker.poll() is None for worker in workers):
            scan = store.scan()
            assert scan.damaged == ()
            assert {plugin.version for plugin in scan.installed} <= set(versions)
            scans += 1
        outputs = [worker.communicate(timeout=60) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
            for stream in (worker.stdin, worker.stdout, worker.stderr):
                if stream is not None:
                    stream.close()

    assert [(out, err) for out, err in outputs] == [("done\n", "")] * 3
    assert scans > 0
    assert list((root / ".staging").iterdir()) == []
    for plugin in store.list():
        assert store.verify(plugin.id) == ()
        assert plugin.read("data.txt") == plugin.version.encode() * 5000
