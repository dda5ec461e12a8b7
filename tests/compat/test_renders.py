"""Whole files: a render through sandboxed plugins writes what a render through native ones writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import soundfile

from stellatune_plugins.model import Home, RuntimeKind, RuntimeRoute
from stellatune_plugins.observe import EventBus
from stellatune_plugins.package import InstallStore
from stellatune_plugins.session.chain_builder import StageRequest
from stellatune_plugins.session.plugin_runtime import PluginRenderRuntime
from stellatune_plugins.session.render import render
from stellatune_plugins.session.report import RenderJob, RenderOptions

BUNDLED = Path(__file__).resolve().parents[2] / "src" / "stellatune_plugins" / "bundled"
STAGES = (
    StageRequest("dev.stellatune.gain", None, '{"gain_db": 2, "balance": -0.2}'),
    StageRequest(
        "dev.stellatune.parametric-eq",
        None,
        '{"bands": [{"type": "low_shelf", "freq_hz": 90, "gain_db": 6}, {"freq_hz": 2500, "gain_db": -4, "q": 3}]}',
    ),
    StageRequest("dev.stellatune.limiter", None, '{"ceiling_db": -1}'),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with the bundled plugins."""
    made = Home(tmp_path_factory.mktemp("compat-home"))
    store = InstallStore(made.plugins, EventBus())
    for stage in STAGES:
        store.install(BUNDLED / stage.plugin)
    return made


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44100, 2), (48000, 6), (192000, 2)])
@pytest.mark.parametrize(("ending", "bits"), [("wav", "32f"), ("flac", "24")])
def test_a_render_writes_the_same_samples(
    lab: Any,
    home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rate: int,
    channels: int,
    ending: str,
    bits: Any,
) -> None:
    """Decoder, chain, latency compensation, tail, dither and sink included: every sample is the same."""
    monkeypatch.setenv("STELLATUNE_TWINS", str(lab.twins))
    source = tmp_path / "in.wav"
    soundfile.write(source, lab.programme(20011, channels, rate), rate, "FLOAT")
    written = {}
    for route, kind in ((RuntimeRoute.WASM, RuntimeKind.WASM), (RuntimeRoute.NATIVE, RuntimeKind.NATIVE)):
        target = tmp_path / f"{route}.{ending}"
        runtime = PluginRenderRuntime(home, route, STAGES, strict=True)
        try:
            report = render(
                RenderJob(str(source), str(target)),
                RenderOptions(bits=bits),
                decoder=runtime.decoder,
                chain_factory=runtime.chain,
                sink=runtime.sink,
            )
        finally:
            runtime.close()
        assert [stage.runtime for stage in report.stages] == [kind] * len(STAGES)
        assert not any(stage.bypasses for stage in report.stages)
        written[route] = target.read_bytes()
    assert len(written[RuntimeRoute.WASM]) > 20011 * channels
    same = written[RuntimeRoute.WASM] == written[RuntimeRoute.NATIVE]
    assert same
