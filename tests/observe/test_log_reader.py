"""Reading logs while they grow and are set aside."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

from stellatune_plugins.observe.log_reader import LogReader
from stellatune_plugins.observe.logs import JsonLog


def test_the_end_of_two_files(tmp_path: Path) -> None:
    """Lines of the file set aside come first; only the last ones are given."""
    (tmp_path / "a.jsonl.1").write_bytes(b"1\n2\n")
    (tmp_path / "a.jsonl").write_bytes(b"3\n4\nhalf")
    for name, count, lines in (("a", 3, [b"2", b"3", b"4"]), ("a", 0, []), ("none", 3, [])):
        with LogReader(tmp_path / f"{name}.jsonl") as reader:
            assert reader.tail(count) == lines


def test_nothing_is_lost_while_the_file_is_set_aside(tmp_path: Path) -> None:
    """Every line once and in order, over many rotations."""
    path = tmp_path / "a.jsonl"
    log = JsonLog(path, max_bytes=4000)
    reader = LogReader(path)
    log.write("line", number=0)
    assert len(reader.tail(10)) == 1

    def write() -> None:
        for number in range(1, 201):
            log.write("line", number=number)
            if number % 20 == 0:
                pause.wait(0.05)

    pause = threading.Event()
    thread = threading.Thread(target=write)
    thread.start()
    lines = list(itertools.islice(reader.follow(0.001), 200))
    thread.join()
    assert [line.rpartition(b'"number":')[2] for line in lines] == [f"{n}}}".encode() for n in range(1, 201)]
    reader.close()


def test_a_line_counts_once_it_is_whole(tmp_path: Path) -> None:
    """A writer may be in the middle of it."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"one\ntw")
    reader = LogReader(path)
    assert reader.tail(9) == [b"one"]
    with path.open("ab") as file:
        file.write(b"o\n")
    assert next(reader.follow(0.001)) == b"two"
    reader.close()
