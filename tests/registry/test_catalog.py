"""Which ability a name means."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from stellatune_plugins.errors import AbilityNotFound
from stellatune_plugins.model import AbilityKind, RuntimeKind, RuntimeRoute
from stellatune_plugins.native import NativePlugin, NativeStatus
from stellatune_plugins.package import DecoderRules, InstalledPlugin
from stellatune_plugins.registry.catalog import Catalog

MakePackage = Callable[..., InstalledPlugin]
MakeNative = Callable[..., NativePlugin]
DSP = AbilityKind.DSP


def test_a_plugin_with_one_ability_needs_no_type(package: MakePackage) -> None:
    """Its id alone says enough."""
    found = Catalog([package("org.a", ("dsp", "gain"))], [], RuntimeRoute.WASM).find(DSP, "org.a")
    assert found.key.type_id == "gain"
    assert found.runtime is RuntimeKind.WASM
    assert found.package is not None


def test_several_abilities_must_be_told_apart(package: MakePackage) -> None:
    """The error lists the choices, and the hint shows how to write one."""
    catalog = Catalog([package("org.a", ("dsp", "one"), ("dsp", "two"))], [], RuntimeRoute.WASM)
    with pytest.raises(AbilityNotFound, match="one, two") as caught:
        catalog.find(DSP, "org.a")
    assert caught.value.details["choices"] == ["one", "two"]
    assert "org.a/one" in caught.value.hint
    assert catalog.find(DSP, "org.a", "two").key.component_id == "c1"


def test_a_wrong_type_lists_the_right_ones(package: MakePackage) -> None:
    """A typing mistake is corrected at once."""
    with pytest.raises(AbilityNotFound) as caught:
        Catalog([package("org.a", ("dsp", "gain"))], [], RuntimeRoute.WASM).find(DSP, "org.a", "gian")
    assert "gain" in caught.value.hint


def test_native_is_the_default_and_hints_at_wasm(package: MakePackage) -> None:
    """The native route does not reach a wasm package, and says what would."""
    with pytest.raises(AbilityNotFound) as caught:
        Catalog([package("org.a", ("dsp", "gain"))], [], RuntimeRoute.NATIVE).find(DSP, "org.a")
    assert caught.value.hint == "installed as a WebAssembly plugin: pass --runtime hybrid or wasm"
    assert caught.value.details["route"] == "native"


def test_wasm_does_not_reach_native_twins(package: MakePackage, native: MakeNative) -> None:
    """Where wasm packages serve the kind, native ones are out, and the hint says so."""
    catalog = Catalog([package("org.a", ("dsp", "gain"))], [native("org.b", DSP, "eq")], RuntimeRoute.WASM)
    with pytest.raises(AbilityNotFound, match="no wasm plugin") as caught:
        catalog.find(DSP, "org.b")
    assert "native" in caught.value.hint


def test_wasm_leaves_other_kinds_to_native(package: MakePackage, native: MakeNative) -> None:
    """A wasm DSP does not take the decoder away."""
    decoder = native("org.d", AbilityKind.DECODER, "ffmpeg")
    catalog = Catalog([package("org.a", ("dsp", "gain"))], [decoder], RuntimeRoute.WASM)
    assert catalog.find(AbilityKind.DECODER, "org.d").native == decoder


def test_hybrid_prefers_native(package: MakePackage, native: MakeNative) -> None:
    """The same plugin and type in both: the native one; elsewhere whichever there is."""
    catalog = Catalog(
        [package("org.a", ("dsp", "gain")), package("org.w", ("dsp", "eq"))],
        [native("org.a", DSP, "gain"), native("org.n", DSP, "eq")],
        RuntimeRoute.HYBRID,
    )
    assert catalog.find(DSP, "org.a").runtime is RuntimeKind.NATIVE
    assert catalog.find(DSP, "org.w").runtime is RuntimeKind.WASM
    assert catalog.find(DSP, "org.n").runtime is RuntimeKind.NATIVE
    assert len(catalog.of_kind(DSP)) == 3


@pytest.mark.parametrize("status", [NativeStatus.UNAVAILABLE, NativeStatus.FAILED])
def test_hybrid_does_without_a_native_twin_that_cannot_serve(
    package: MakePackage, native: MakeNative, status: NativeStatus
) -> None:
    """A twin whose library was not built must not hide the package that works."""
    catalog = Catalog(
        [package("org.a", ("dsp", "gain"))],
        [native("org.a", DSP, "gain")],
        RuntimeRoute.HYBRID,
        probe=lambda record: msgspec.structs.replace(record, status=status),
    )
    assert catalog.find(DSP, "org.a").runtime is RuntimeKind.WASM


def test_finding_loads_no_native_plugin_without_need(package: MakePackage, native: MakeNative) -> None:
    """Only one that a package could stand in for is asked."""
    asked: list[str] = []

    def probe(record: NativePlugin) -> NativePlugin:
        asked.append(record.plugin_id)
        return msgspec.structs.replace(record, status=NativeStatus.READY)

    natives = [native("org.a", DSP, "gain"), native("org.n", DSP, "eq")]
    Catalog([package("org.a", ("dsp", "gain"))], natives, RuntimeRoute.HYBRID, probe=probe).find(DSP, "org.n")
    assert asked == ["org.a"]
    asked.clear()
    Catalog([package("org.a", ("dsp", "gain"))], natives, RuntimeRoute.NATIVE, probe=probe).find(DSP, "org.a")
    assert asked == []


def test_broken_native_names_are_left_out(native: MakeNative) -> None:
    """A record without a type had no name; of two with one name the first counts."""
    nameless = native("bad name", DSP, "", NativeStatus.FAILED)
    first, second = native("org.a", DSP, "gain"), native("org.a", DSP, "gain", NativeStatus.FAILED, "c:d")
    catalog = Catalog([], [first, nameless, second], RuntimeRoute.NATIVE)
    assert [e.native for e in catalog.everything()] == [first]


def test_unknown_plugins_are_not_found() -> None:
    """With the general hint."""
    with pytest.raises(AbilityNotFound) as caught:
        Catalog([], [], RuntimeRoute.HYBRID).find(DSP, "org.nobody")
    assert caught.value.plugin == "org.nobody"
    assert caught.value.code == "ability-not-found"


def test_decoders_are_ranked(package: MakePackage, native: MakeNative) -> None:
    """The best score first; a wildcard where the extension is unknown; none where neither fits."""
    rules = {"decoder": {"ext_scores": [{"ext": "flac", "score": 50}]}}
    wasm = package("org.w", ("decoder", "flac"), **rules)
    one, two = native("org.n", AbilityKind.DECODER, "any"), native("org.o", AbilityKind.DECODER, "broken")
    catalog = Catalog(
        [wasm],
        [one, two],
        RuntimeRoute.HYBRID,
        native_scores=lambda record: DecoderRules((("mp3", 90),), 10) if record is one else None,
    )
    assert [(s, e.key.plugin_id) for s, e in catalog.decoders("flac")] == [(50, "org.w"), (10, "org.n")]
    assert [(s, e.key.plugin_id) for s, e in catalog.decoders("mp3")] == [(90, "org.n")]
    assert [(s, e.key.plugin_id) for s, e in catalog.decoders(None)] == [(10, "org.n")]


def test_an_entry_carries_what_a_form_needs(package: MakePackage) -> None:
    """Name, schema and defaults come from the manifest."""
    extra = {"config_schema_json": "{}", "default_config_json": '{"a": 1}'}
    entry = Catalog([package("org.a", ("dsp", "gain"), **extra)], [], RuntimeRoute.WASM).find(DSP, "org.a")
    assert (entry.display_name, entry.config_schema_json, entry.default_config_json) == ("Org.A", "{}", '{"a": 1}')
    assert entry.capability == "dsp/gain"
