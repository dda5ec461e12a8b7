"""Logs: one file a plugin, capped, and not to be flooded by a guest."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stellatune_plugins.observe import EventBus, JsonLog, PluginLogs
from stellatune_plugins.observe.events import GuestOutput, GuestOutputDropped, GuestTrapped, PackageInstalled


class Clock:
    """Monotonic seconds that only the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def lines(path: Path) -> list[dict[str, Any]]:
    """Every line of a log, parsed."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def output(text: str = "hello", plugin: str | None = "dev.example.noisy") -> GuestOutput:
    """A line that a guest printed."""
    return GuestOutput(plugin=plugin, stream="stdout", text=text)


def test_an_event_stands_in_its_plugins_file_and_in_the_main_log(tmp_path: Path) -> None:
    """A plugin's event is found by its plugin and by its time."""
    logs = PluginLogs(tmp_path)
    logs(GuestTrapped(plugin="dev.example.eq", operation="dsp.create", trap="unreachable"))
    for name in ("dev.example.eq", "stellatune"):
        (line,) = lines(tmp_path / f"{name}.jsonl")
        assert (line["event"], line["plugin"], line["trap"]) == ("guest.trap", "dev.example.eq", "unreachable")


def test_guest_lines_stay_out_of_the_main_log(tmp_path: Path) -> None:
    """What a guest prints is its own file's business."""
    PluginLogs(tmp_path)(output())
    assert [p.name for p in tmp_path.iterdir()] == ["dev.example.noisy.jsonl"]


@pytest.mark.parametrize("plugin", ["../escape", "a/b", "", "x" * 129, ".hidden", "UPPER", "nul\0", "a..b", "-"])
def test_a_name_that_is_no_harmless_file_name_makes_no_file(tmp_path: Path, plugin: str) -> None:
    """An event with a hostile plugin id lands in the main log alone."""
    folder = tmp_path / "logs"
    PluginLogs(folder)(PackageInstalled(plugin=plugin, version="1", seconds=0.0))
    assert [p.relative_to(tmp_path) for p in tmp_path.rglob("*.jsonl")] == [Path("logs/stellatune.jsonl")]
    assert lines(folder / "stellatune.jsonl")[0]["plugin"] == plugin


def test_a_flood_is_cut_to_its_burst_and_the_rest_is_counted(tmp_path: Path) -> None:
    """Of 1,000 lines at once, a bucket of 10 keeps 10 and says that 990 were dropped."""
    clock = Clock()
    logs = PluginLogs(tmp_path, lines_per_second=2, burst=10, clock=clock)
    for i in range(1000):
        logs(output(str(i)))
    clock.now += 1.0
    logs(output("later"))
    found = lines(tmp_path / "dev.example.noisy.jsonl")
    assert [line.get("text") for line in found] == [*map(str, range(10)), None, "later"]
    assert found[10]["event"] == "guest.output_dropped"
    assert found[10]["lines"] == 990


def test_what_was_dropped_last_is_said_at_the_end(tmp_path: Path) -> None:
    """Closing tells the bus of lines that no later line announced; once."""
    bus = EventBus()
    logs = PluginLogs(tmp_path, bus=bus, lines_per_second=0, burst=1, clock=Clock())
    bus.subscribe(logs)
    for _ in range(4):
        bus.emit(output())
    with bus.recording() as events:
        logs.close()
        logs.close()
    assert events == [GuestOutputDropped(plugin="dev.example.noisy", lines=3)]
    assert lines(tmp_path / "dev.example.noisy.jsonl")[-1]["lines"] == 3


def test_one_guest_does_not_use_up_anothers_lines(tmp_path: Path) -> None:
    """Buckets belong to plugins."""
    logs = PluginLogs(tmp_path, lines_per_second=0, burst=1, clock=Clock())
    for _ in range(5):
        logs(output(plugin="dev.example.noisy"))
    logs(output(plugin="dev.example.calm"))
    assert len(lines(tmp_path / "dev.example.calm.jsonl")) == 1


def test_an_endless_line_is_cut(tmp_path: Path) -> None:
    """A guest's line of a mebibyte costs 16 KiB, and the log says what is missing."""
    PluginLogs(tmp_path)(output("x" * 2**20))
    (line,) = lines(tmp_path / "dev.example.noisy.jsonl")
    assert len(line["text"]) == 16 * 1024
    assert line["cut"] == 2**20 - 16 * 1024


@given(st.text(), st.text(max_size=20))
def test_no_text_of_a_guest_forges_a_line(tmp_path_factory: pytest.TempPathFactory, text: str, stream: str) -> None:
    """Whatever a guest prints, newlines and lone quotes included, it is one object on one line."""
    path = tmp_path_factory.mktemp("logs")
    PluginLogs(path)(GuestOutput(plugin="dev.example.noisy", stream=stream, text=text))
    (line,) = (path / "dev.example.noisy.jsonl").read_bytes().split(b"\n")[:-1]
    assert json.loads(line)["text"] == text


def test_a_log_is_set_aside_when_it_is_full(tmp_path: Path) -> None:
    """Two files of the capped size are all that a plugin's log can take."""
    log = JsonLog(tmp_path / "x.jsonl", max_bytes=1000)
    for i in range(100):
        log.write("test.event", number=i)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.jsonl", "x.jsonl.1"]
    assert all(p.stat().st_size <= 1000 for p in tmp_path.iterdir())
    numbers = [line["number"] for name in ("x.jsonl.1", "x.jsonl") for line in lines(tmp_path / name)]
    assert numbers == list(range(100 - len(numbers), 100))


def test_logs_are_private(tmp_path: Path) -> None:
    """Files are 0600 in a folder of 0700."""
    JsonLog(tmp_path / "logs" / "x.jsonl").write("test.event")
    assert stat.S_IMODE((tmp_path / "logs").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "logs" / "x.jsonl").stat().st_mode) == 0o600


def test_a_link_in_the_logs_place_is_not_followed(tmp_path: Path) -> None:
    """Nobody makes us write into another file."""
    target = tmp_path / "target"
    target.write_text("precious")
    (tmp_path / "x.jsonl").symlink_to(target)
    with pytest.raises(OSError, match=r"[Ll]evels|loop|link"):
        JsonLog(tmp_path / "x.jsonl").write("test.event")
    assert target.read_text() == "precious"


def test_a_log_that_cannot_be_written_is_given_up_quietly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A full disk is said once, and no event is held up by it."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    logs = PluginLogs(blocked / "logs")
    for _ in range(3):
        logs(output())
    assert [r.message for r in caplog.records if "logging stopped" in r.message] == caplog.messages
    assert len(caplog.messages) == 1


WRITE_MANY = """
import sys
from pathlib import Path
from stellatune_plugins.observe import JsonLog
log = JsonLog(Path(sys.argv[1]), max_bytes=40_000)
for i in range(200):
    log.write("test.event", worker=int(sys.argv[2]), number=i)
"""


def test_processes_that_share_a_log_lose_and_mix_no_line(tmp_path: Path) -> None:
    """Three processes write through several rotations; what is kept is whole lines, the newest of each process."""
    path = tmp_path / "x.jsonl"
    workers = [subprocess.Popen([sys.executable, "-c", WRITE_MANY, str(path), str(n)]) for n in range(3)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    found = lines(tmp_path / "x.jsonl.1") + lines(path)
    assert 40_000 // 110 < len(found) <= 600
    last = max(range(len(found)), key=lambda i: (found[i]["number"], i))
    assert found[last]["number"] == 199
    for n in range(3):
        numbers = [line["number"] for line in found if line["worker"] == n]
        assert numbers == sorted(numbers)
