"""Opening abilities of both runtimes by name: enabled, configured, and closed where that fails."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from host_fakes import MemoryStream, rawf
from world_packages import world_package

from stellatune_plugins.errors import AbilityNotFound, ConfigRejected, GuestTrap, InputUnreadable, PluginFailure
from stellatune_plugins.executor import Deadlines, Status, StatusReport, ask
from stellatune_plugins.model import AbilityKind, Frames, Home, RuntimeKind, RuntimeRoute
from stellatune_plugins.observe import EventBus
from stellatune_plugins.package import InstallStore
from stellatune_plugins.registry import PluginRuntime, RuntimeSettings
from stellatune_plugins.session import RankedDecoders

MUSIC = np.random.default_rng(3).uniform(-1, 1, (1_000, 2)).astype(np.float32)
ONE, OTHER, THIRD = "org.example.one", "org.example.other", "org.example.third"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty one."""
    return Home(tmp_path / "home")


@pytest.fixture
def install(home: Home, tmp_path: Path) -> Callable[..., None]:
    """Installs an actor."""

    def install(kind: AbilityKind, plugin: str, part: str = "", **how: Any) -> None:
        InstallStore(home.plugins, EventBus()).install(world_package(tmp_path, kind, plugin, part=part, **how))

    return install


@pytest.fixture
def runtime_of(home: Home) -> Iterator[Callable[..., PluginRuntime]]:
    """Makes runtimes over the home."""
    made: list[PluginRuntime] = []

    def make(route: RuntimeRoute = RuntimeRoute.WASM) -> PluginRuntime:
        made.append(PluginRuntime(home, route, settings=RuntimeSettings(deadlines=Deadlines.uniform(0.5))))
        return made[-1]

    yield make
    for runtime in made:
        runtime.close()


def _track() -> MemoryStream:
    return MemoryStream(rawf(MUSIC))


def _decoded(session: Any) -> np.ndarray:
    block: np.ndarray = session.read_pcm(Frames(10_000)).block
    session.close()
    return block


# --- decoders ---------------------------------------------------------------------------------------------------------


def test_the_best_score_decodes(install: Any, runtime_of: Any) -> None:
    """By extension, as the manifests say; nobody else is even enabled."""
    install(AbilityKind.DECODER, ONE, "open:trap", scores={"rawf": 10})
    install(AbilityKind.DECODER, OTHER, scores={"rawf": 90})
    runtime = runtime_of()
    session = RankedDecoders(runtime.decoders()).open(_track(), "rawf")
    np.testing.assert_array_equal(_decoded(session), MUSIC)
    assert [p.plugin for p in _status(runtime)] == [OTHER]


def _status(runtime: PluginRuntime) -> Any:
    return ask(runtime.executor, Status(), StatusReport).plugins


@pytest.mark.parametrize("part", ["open:trap", "open:loop", "open:error", "open:hold", "create:trap", "on-enable:trap"])
def test_one_that_fails_to_open_gives_way(install: Any, runtime_of: Any, part: str) -> None:
    """Whether it answers, crashes, hangs or cannot even be enabled: the next gets the stream from its start."""
    install(AbilityKind.DECODER, ONE, part, scores={"rawf": 90})
    install(AbilityKind.DECODER, OTHER, scores={"rawf": 10})
    stream = _track()
    session = RankedDecoders(runtime_of().decoders()).open(stream, "rawf")
    np.testing.assert_array_equal(_decoded(session), MUSIC)
    assert stream.closes == 1


def test_the_wildcard_is_the_last_resort(install: Any, runtime_of: Any) -> None:
    """For an extension that nobody names, and behind those who do."""
    install(AbilityKind.DECODER, ONE, scores={}, wildcard=5)
    install(AbilityKind.DECODER, OTHER, "open:error", scores={"rawf": 1})
    ranked = RankedDecoders(runtime_of().decoders())
    np.testing.assert_array_equal(_decoded(ranked.open(_track(), "unheard-of")), MUSIC)
    np.testing.assert_array_equal(_decoded(ranked.open(_track(), None)), MUSIC)
    # A named extension counts by its number alone: 1 is less than the wildcard's 5.
    assert [d.resolved.key.plugin_id for d in ranked.ranked("rawf")] == [ONE, OTHER]  # type: ignore[attr-defined]


def test_when_all_fail_each_is_heard(install: Any, runtime_of: Any) -> None:
    """One error with what everybody said, and the stream is closed."""
    install(AbilityKind.DECODER, ONE, "open:error", scores={"rawf": 3})
    install(AbilityKind.DECODER, OTHER, "open:trap", scores={"rawf": 2})
    install(AbilityKind.DECODER, THIRD, scores={"rawf": 1})
    stream = MemoryStream(b"something else")
    with pytest.raises(InputUnreadable) as caught:
        RankedDecoders(runtime_of().decoders()).open(stream, "rawf")
    said = caught.value.details["decoders"]
    assert len(said) == 3
    assert all(plugin in text for plugin, text in zip((ONE, OTHER, THIRD), said, strict=True))
    assert "no RAWF" in said[2]
    assert stream.closes == 1


def test_native_and_wasm_decoders_stand_in_one_list(install: Any, runtime_of: Any) -> None:
    """On the hybrid route a package decodes what no native one takes; on the others one runtime is asked alone."""
    install(AbilityKind.DECODER, ONE, scores={"rawf": 50})
    hybrid = runtime_of(RuntimeRoute.HYBRID)
    kinds = {d.resolved.runtime for d in hybrid.decoders()}
    assert kinds == {RuntimeKind.NATIVE, RuntimeKind.WASM}
    np.testing.assert_array_equal(_decoded(RankedDecoders(hybrid.decoders()).open(_track(), "rawf")), MUSIC)
    assert {d.resolved.runtime for d in runtime_of(RuntimeRoute.WASM).decoders()} == {RuntimeKind.WASM}
    assert {d.resolved.runtime for d in runtime_of(RuntimeRoute.NATIVE).decoders()} == {RuntimeKind.NATIVE}


def test_a_package_takes_no_format_away(install: Any, runtime_of: Any) -> None:
    """On the wasm route native decoders take what no package names, and nothing that one does."""
    install(AbilityKind.DECODER, ONE, "open:error", scores={"rawf": 50, "wav": 50})
    runtime = runtime_of()
    ranked = RankedDecoders(runtime.decoders(), runtime.spare_decoders())
    assert [d.resolved.runtime for d in ranked.ranked("mp3")] == [RuntimeKind.NATIVE]  # type: ignore[attr-defined]
    assert [d.resolved.runtime for d in ranked.ranked("wav")] == [RuntimeKind.WASM]  # type: ignore[attr-defined]
    assert {"mp3", "rawf"} <= ranked.ext_scores().keys()
    with pytest.raises(PluginFailure):
        ranked.open(_track(), "wav")
    assert not runtime_of(RuntimeRoute.HYBRID).spare_decoders()
    assert not runtime_of(RuntimeRoute.NATIVE).spare_decoders()


@pytest.mark.parametrize(("score", "data"), [(1000, "wav"), (1, "rawf")], ids=["wasm-to-native", "native-to-wasm"])
def test_runtimes_give_way_to_each_other(install: Any, runtime_of: Any, score: int, data: str) -> None:
    """The better score is asked first, and cannot open the data; the other runtime's decoder gets it whole."""
    install(AbilityKind.DECODER, ONE, scores={"wav": score})
    file = io.BytesIO()
    soundfile.write(file, MUSIC, 44_100, format="WAV", subtype="FLOAT")
    stream = MemoryStream(file.getvalue()) if data == "wav" else _track()
    ranked = RankedDecoders(runtime_of(RuntimeRoute.HYBRID).decoders())
    kinds = [d.resolved.runtime for d in ranked.ranked("wav")]  # type: ignore[attr-defined]
    assert kinds == [RuntimeKind.WASM, RuntimeKind.NATIVE][:: 1 if score == 1000 else -1]
    np.testing.assert_array_equal(_decoded(ranked.open(stream, "wav")), MUSIC)
    assert stream.closes == 1


def test_a_named_decoder_takes_whatever_comes(install: Any, runtime_of: Any) -> None:
    """Its extensions are no matter then; who it is stands in its errors."""
    install(AbilityKind.DECODER, ONE, scores={"rawf": 50})
    decoder = runtime_of().open_decoder(ONE)
    np.testing.assert_array_equal(_decoded(decoder.open(_track(), "mp3")), MUSIC)
    with pytest.raises(PluginFailure) as caught:
        decoder.open(MemoryStream(b""), "rawf")
    assert (caught.value.plugin, caught.value.capability) == (ONE, "decoder/actor")


SCHEMA = json.dumps({"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": False})


def test_a_decoders_configuration_is_checked_at_once(install: Any, runtime_of: Any) -> None:
    """Before any track is opened."""
    install(AbilityKind.DECODER, ONE, scores={"rawf": 50}, config_schema_json=SCHEMA)
    with pytest.raises(ConfigRejected):
        runtime_of().open_decoder(ONE, config_json='{"n": "x"}')


def test_a_session_that_refuses_its_configuration_is_closed(install: Any, runtime_of: Any) -> None:
    """And the stream with it."""
    install(AbilityKind.DECODER, ONE, "apply:refuse", scores={"rawf": 50}, default_config_json="{}")
    runtime, stream = runtime_of(), _track()
    with pytest.raises(ConfigRejected, match="not this one"):
        runtime.open_decoder(ONE).open(stream, "rawf")
    assert stream.closes == 1
    assert [p.instances for p in _status(runtime)] == [0]


# --- the others -------------------------------------------------------------------------------------------------------

OPENINGS: dict[AbilityKind, Callable[..., Any]] = {
    AbilityKind.SOURCE: PluginRuntime.open_source,
    AbilityKind.LYRICS: PluginRuntime.open_lyrics,
    AbilityKind.OUTPUT_SINK: PluginRuntime.open_sink,
}


@pytest.mark.parametrize("kind", OPENINGS)
def test_each_kind_is_opened_by_its_name(install: Any, runtime_of: Any, kind: AbilityKind) -> None:
    """With the defaults under the user's values."""
    install(kind, ONE, default_config_json='{"a": 1, "b": 2}')
    opened = OPENINGS[kind](runtime_of(), ONE, type_id="actor", config_json='{"b": 3}')
    assert json.loads(opened.config_json) == {"a": 1, "b": 3}
    assert opened.resolved.key.kind is kind
    assert opened.instance.plan_config("{}").mode == "hot-apply"
    opened.instance.close()


@pytest.mark.parametrize("kind", OPENINGS)
def test_one_that_refuses_is_closed(install: Any, runtime_of: Any, kind: AbilityKind) -> None:
    """By plan, by word, by crash: nothing is left of it."""
    for plugin, part, error in (
        (ONE, "plan:reject", ConfigRejected),
        (OTHER, "apply:refuse", ConfigRejected),
        (THIRD, "apply:trap", GuestTrap),
    ):
        install(kind, plugin, part, default_config_json="{}")
        runtime = runtime_of()
        with pytest.raises(error) as caught:
            OPENINGS[kind](runtime, plugin)
        assert caught.value.plugin == plugin
        assert [p.instances for p in _status(runtime)] == [0]


@pytest.mark.parametrize("kind", OPENINGS)
def test_the_route_is_kept(install: Any, runtime_of: Any, kind: AbilityKind) -> None:
    """A package is none of the native route's; the error says how to reach it."""
    install(kind, ONE)
    with pytest.raises(AbilityNotFound) as caught:
        OPENINGS[kind](runtime_of(RuntimeRoute.NATIVE), ONE)
    assert "--runtime" in caught.value.hint


NATIVES = {
    AbilityKind.SOURCE: "dev.stellatune.native.folder-source",
    AbilityKind.LYRICS: "dev.stellatune.native.lrc-lyrics",
    AbilityKind.OUTPUT_SINK: "dev.stellatune.native.file-sink",
}


@pytest.mark.parametrize("kind", NATIVES)
def test_native_ones_open_alike(runtime_of: Any, tmp_path: Path, kind: AbilityKind) -> None:
    """Through the same functions, into the same interfaces."""
    config = json.dumps({"folder": str(tmp_path), "watch": False}) if kind is AbilityKind.SOURCE else None
    opened = OPENINGS[kind](runtime_of(RuntimeRoute.NATIVE), NATIVES[kind], config_json=config)
    assert opened.resolved.runtime is RuntimeKind.NATIVE
    opened.instance.close()
