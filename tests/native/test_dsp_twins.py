"""The ctypes wrapper of the native twins, on a twin compiled here."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stellatune_plugins.errors import ConfigRejected, InstanceDead, LayoutUnsupported, NativePluginFailed
from stellatune_plugins.model import AbilityKind, AudioSpec, ConfigUpdateMode, Layouts, SampleRate
from stellatune_plugins.native import NativePluginUnavailable, NativeRuntime, NativeStatus
from stellatune_plugins.native.dsp_twins import FOLDER_VARIABLE, TwinDsp, library_path

SOURCE = r"""
#include <stdlib.h>
#include <string.h>
typedef struct { float gain; unsigned channels, latency; char error[64]; } twin;
const char *st_twin_id(void) { return "dev.example.double"; }
unsigned st_twin_supported_layouts(void) { return 3; }
twin *st_twin_create(unsigned rate, unsigned channels, unsigned max_frames) {
    if (channels > 2 || max_frames != 4096) return 0;
    twin *t = calloc(1, sizeof *t);
    t->gain = 2; t->channels = channels;
    return t;
}
void st_twin_destroy(twin *t) { free(t); }
int st_twin_config(twin *t, const char *text, unsigned len) {
    if (len && text[0] == '3') { t->gain = 3; return 0; }
    if (len && text[0] == 'L') { t->latency = 64; return 0; }
    strcpy(t->error, "gain: expected 3");
    return 1;
}
unsigned st_twin_error(const twin *t, char *out, unsigned n) {
    unsigned len = strlen(t->error);
    memcpy(out, t->error, len < n ? len : n);
    return len;
}
unsigned st_twin_export(const twin *t, char *out, unsigned n) { out[0] = '0' + (int)t->gain; return 1; }
int st_twin_process(twin *t, const float *in, float *out, unsigned frames) {
    if (frames > 4096) return 1;
    for (unsigned i = 0; i < frames * t->channels; i++) out[i] = in[i] * t->gain;
    return 0;
}
void st_twin_reset(twin *t) {}
unsigned st_twin_latency(const twin *t) { return t->latency; }
int st_twin_tail(const twin *t) { return t->latency ? -1 : 5; }
"""


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A twin that multiplies, built with the compiler of the development tools."""
    folder = tmp_path_factory.mktemp("twins")
    (folder / "double.c").write_text(SOURCE)
    out = folder / "libst_double.so"
    compiler = [shutil.which("cc")] if shutil.which("cc") else [sys.executable, "-m", "ziglang", "cc"]
    argv = [*map(str, compiler), "-O1", "-shared", "-fPIC", "-o", str(out), str(folder / "double.c")]
    subprocess.run(argv, check=True, capture_output=True, timeout=110)
    return out


@pytest.fixture
def dsp(library: Path) -> TwinDsp:
    """The twin."""
    return TwinDsp("dev.example.double", library)


STEREO = AudioSpec(SampleRate(48000), 2)


@pytest.mark.parametrize("frames", [0, 1, 4096, 4097, 20000])
def test_blocks_of_any_size_are_processed(dsp: TwinDsp, frames: int) -> None:
    """Longer blocks than the library takes are cut and put together again."""
    processor = dsp.create(STEREO)
    block = np.random.default_rng(1).standard_normal((frames, 2)).astype(np.float32)
    assert np.array_equal(processor.process(block), block * 2)
    processor.close()


def test_configuration_and_state(dsp: TwinDsp) -> None:
    """Planned on a trial instance, applied to the real one; a refusal has the library's words."""
    processor = dsp.create(STEREO)
    assert processor.plan_config("3").mode is ConfigUpdateMode.HOT_APPLY
    assert processor.plan_config("L").mode is ConfigUpdateMode.RECREATE
    assert processor.plan_config("?").reason == "gain: expected 3"
    assert processor.export_state() == "2"
    processor.apply_config("3")
    assert processor.export_state() == "3"
    with pytest.raises(ConfigRejected, match="expected 3"):
        processor.import_state("x")
    processor.close()


def test_what_a_twin_says_about_itself(dsp: TwinDsp) -> None:
    """Layouts, latency, tail; a tail of -1 has no end."""
    processor = dsp.create(STEREO)
    assert processor.supported_layouts() == Layouts.MONO | Layouts.STEREO
    assert (processor.output_channels(), processor.latency(), processor.tail()) == (2, 0, 5)
    assert processor.describe_hot_path(STEREO) is None
    processor.apply_config("L")
    assert (processor.latency(), processor.tail()) == (64, None)
    processor.reset()
    processor.close()


def test_misuse_is_an_error_and_no_crash(dsp: TwinDsp) -> None:
    """A closed processor, a spec that is not taken, blocks of another shape or type."""
    with pytest.raises(LayoutUnsupported):
        dsp.create(AudioSpec(SampleRate(48000), 6))
    processor = dsp.create(STEREO)
    for block in (np.zeros((4, 1), np.float32), np.zeros((4, 2)), np.zeros(8, np.float32)):
        with pytest.raises(NativePluginFailed):
            processor.process(block)  # type: ignore[arg-type]
    processor.close()
    processor.close()
    with pytest.raises(InstanceDead):
        processor.process(np.zeros((4, 2), np.float32))


def test_a_library_of_another_plugin_is_refused(library: Path, tmp_path: Path) -> None:
    """The library says whose twin it is; what is no library does not load."""
    with pytest.raises(NativePluginFailed, match=r"dev\.example\.double"):
        TwinDsp("dev.stellatune.gain", library)
    (tmp_path / "x.so").write_text("no library")
    with pytest.raises(NativePluginFailed):
        TwinDsp("dev.stellatune.gain", tmp_path / "x.so")


def test_without_a_folder_twins_are_unavailable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The record says which variable is missing, or which file."""
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    record = NativeRuntime().load(AbilityKind.DSP, "dev.stellatune.gain")
    assert record.status is NativeStatus.UNAVAILABLE
    assert FOLDER_VARIABLE in (record.detail or "")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(NativePluginUnavailable, match=r"libst_gain\.so"):
        library_path("gain")
