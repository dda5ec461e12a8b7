"""A thousand tampered cache entries: none is loaded, every one is rebuilt and works."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import wasmtime

from stellatune_plugins.engine.cache import CodeStore
from stellatune_plugins.engine.cache_secret import KEY_FILE
from stellatune_plugins.engine.compiler import CompileJob
from stellatune_plugins.engine.config import EngineSettings, WasmEngine
from stellatune_plugins.engine.sealed import Sealed
from stellatune_plugins.engine.wasm_kind import CodeKind
from stellatune_plugins.observe import EventBus
from stellatune_plugins.observe.events import CodeCacheRejected, CodeCompiled, CodeLoaded

PIECES = 40
ROUNDS = max(25, 25 * int(os.environ.get("STELLATUNE_STRESS", "100")) // 100)
HEADER = 80
NOBODY = 65534


class _Attack(NamedTuple):
    """What a tamperer has: one entry, the other entries, and entries of other caches under the same or any names."""

    entry: Path
    others: list[Path]
    foreign: Path
    aside: Path
    dice: random.Random


def _flip(attack: _Attack) -> None:
    """One bit, anywhere."""
    data = bytearray(attack.entry.read_bytes())
    data[attack.dice.randrange(len(data))] ^= 1 << attack.dice.randrange(8)
    attack.entry.write_bytes(data)


def _flip_header(attack: _Attack) -> None:
    """One bit of the header."""
    data = bytearray(attack.entry.read_bytes())
    data[attack.dice.randrange(HEADER)] ^= 1 << attack.dice.randrange(8)
    attack.entry.write_bytes(data)


def _scribble(attack: _Attack) -> None:
    """A run of noise over the code."""
    data = bytearray(attack.entry.read_bytes())
    at = attack.dice.randrange(HEADER, len(data) - 64)
    data[at : at + 64] = attack.dice.randbytes(64)
    attack.entry.write_bytes(data)


def _truncate(attack: _Attack) -> None:
    """Any shorter length, nothing included."""
    os.truncate(attack.entry, attack.dice.randrange(attack.entry.stat().st_size))


def _append(attack: _Attack) -> None:
    """Something behind the code."""
    with attack.entry.open("ab") as file:
        file.write(attack.dice.randbytes(attack.dice.randrange(1, 5000)))


def _swap(attack: _Attack) -> None:
    """A genuine entry of other code under this one's name."""
    shutil.copy(attack.dice.choice(attack.others), attack.entry)


def _graft(attack: _Attack) -> None:
    """This entry's header before another one's code."""
    head, body = attack.entry.read_bytes()[:HEADER], attack.dice.choice(attack.others).read_bytes()[HEADER:]
    attack.entry.write_bytes(head + body)


def _rekey(attack: _Attack) -> None:
    """Another entry whose header claims this one's key."""
    mine, other = attack.entry.read_bytes(), bytearray(attack.dice.choice(attack.others).read_bytes())
    other[16:48] = mine[16:48]
    attack.entry.write_bytes(other)


def _foreign(attack: _Attack) -> None:
    """The same code, made and signed by another user."""
    shutil.copy(attack.foreign / attack.entry.name, attack.entry)


def _raw(attack: _Attack) -> None:
    """Machine code without a header, as wasmtime itself would write it."""
    attack.entry.write_bytes(attack.entry.read_bytes()[HEADER:])


def _link(attack: _Attack) -> None:
    """A symbolic link to the genuine bytes, which could be changed later."""
    shutil.copy(attack.entry, attack.aside)
    attack.entry.unlink()
    attack.entry.symlink_to(attack.aside)


def _open_to_others(attack: _Attack) -> None:
    """A mode that lets others write or read."""
    attack.entry.chmod(attack.dice.choice([0o644, 0o660, 0o602, 0o604, 0o777]))


def _give_away(attack: _Attack) -> None:
    """The file of another user; where that takes root, a mode instead."""
    if os.geteuid() == 0:
        os.chown(attack.entry, NOBODY, NOBODY)
    else:
        _open_to_others(attack)


def _no_file(attack: _Attack) -> None:
    """A pipe or a folder in the entry's place."""
    attack.entry.unlink()
    if attack.dice.random() < 0.5:
        os.mkfifo(attack.entry, 0o600)
    else:
        attack.entry.mkdir()
        (attack.entry / "inside").write_bytes(b"x")


ATTACKS: list[Callable[[_Attack], None]] = [
    _flip,
    _flip_header,
    _scribble,
    _truncate,
    _append,
    _swap,
    _graft,
    _rekey,
    _foreign,
    _raw,
    _link,
    _open_to_others,
    _give_away,
    _no_file,
]


def _wasm(number: int) -> bytes:
    return bytes(wasmtime.wat2wasm(f'(module (func (export "f") (result i32) i32.const {number}))'))


JOBS = [CompileJob(_wasm(number), CodeKind.MODULE, f"{number}.wasm") for number in range(PIECES)]


def _check(engine: WasmEngine, modules: list[Any]) -> None:
    """Every module is there and gives its own number."""
    for number, module in enumerate(modules):
        store = wasmtime.Store(engine.raw)
        store.set_epoch_deadline(1000)
        function = wasmtime.Instance(store, module, []).exports(store)["f"]
        assert isinstance(function, wasmtime.Func)
        assert function(store) == number


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Digests of all bytes that were handed to wasmtime as machine code."""
    digests: set[str] = set()
    deserialise = CodeStore._deserialise

    def watched(self: CodeStore, code: Sealed, job: CompileJob) -> Any:
        with code.view() as view:
            digests.add(hashlib.sha256(view).hexdigest())
        return deserialise(self, code, job)

    monkeypatch.setattr(CodeStore, "_deserialise", watched)
    return digests


@pytest.mark.stress
def test_no_tampered_entry_is_loaded(tmp_path: Path, executed: set[str]) -> None:
    """In 25 rounds each of 40 entries is tampered with in one of 14 ways; all 1,000 are rejected and rebuilt."""
    dice = random.Random(20_261_123)
    folder, foreign = tmp_path / "code", tmp_path / "foreign"
    with WasmEngine(EngineSettings()) as engine:
        CodeStore(engine, foreign).load_many(JOBS)
        CodeStore(engine, folder).load_many(JOBS)
        genuine = {hashlib.sha256(path.read_bytes()[HEADER:]).hexdigest() for path in folder.glob("*.code")}
        assert len(genuine) == PIECES
        used: set[str] = set()
        for turn in range(ROUNDS):
            intact = tmp_path / "intact"
            shutil.copytree(folder, intact)
            for index, entry in enumerate(sorted(folder.glob("*.code"))):
                tamper = ATTACKS[(turn + index) % len(ATTACKS)]
                others = [path for path in intact.glob("*.code") if path.name != entry.name]
                tamper(_Attack(entry, others, foreign, tmp_path / f"aside-{turn}-{index}", dice))
                used.add(tamper.__name__)
            shutil.rmtree(intact)
            bus, executed_before = EventBus(), set(executed)
            with bus.recording() as events:
                modules = CodeStore(engine, folder, bus=bus).load_many(JOBS)
            kinds = [type(event) for event in events]
            assert kinds.count(CodeCacheRejected) == kinds.count(CodeCompiled) == PIECES
            assert CodeLoaded not in kinds
            _check(engine, modules)
            assert executed_before <= executed <= genuine, "bytes were loaded that the compiler never made"
        assert len(used) == len(ATTACKS)
        store = CodeStore(engine, folder)
        _check(engine, store.load_many(JOBS))
        assert store.stats().loaded == PIECES


@pytest.mark.stress
@pytest.mark.parametrize("how", ["removed", "noise", "another's", "known"])
def test_a_tampered_secret_makes_every_entry_foreign(tmp_path: Path, executed: set[str], how: str) -> None:
    """Whatever becomes of the secret, no entry that it signed is believed; the cache then works with the new one."""
    folder, foreign = tmp_path / "code", tmp_path / "foreign"
    with WasmEngine(EngineSettings()) as engine:
        for place in (foreign, folder):
            CodeStore(engine, place).load_many(JOBS)
        key = folder / KEY_FILE
        if how == "removed":
            key.unlink()
        elif how == "noise":
            key.write_bytes(random.Random(1).randbytes(32))
        elif how == "another's":
            shutil.copy(foreign / KEY_FILE, key)
        else:  # others could read it, so they may have signed entries
            key.chmod(0o644)
        executed.clear()
        store = CodeStore(engine, folder)
        _check(engine, store.load_many(JOBS))
        assert store.stats()[1:4] == (0, PIECES, PIECES)
        again = CodeStore(engine, folder)
        _check(engine, again.load_many(JOBS))
        assert again.stats().loaded == PIECES
        with contextlib.suppress(FileNotFoundError):
            assert key.stat().st_mode & 0o077 == 0
