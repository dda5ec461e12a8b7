"""plugin.json: every rule of the contract, all breaches at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stellatune_plugins.errors import ManifestInvalid, Problem
from stellatune_plugins.model import AbilityKind
from stellatune_plugins.package import (
    DeadlineTier,
    FileAccess,
    FilePermission,
    HostPermission,
    Permissions,
    SidecarNeed,
    SidecarPermission,
    SidecarRestart,
    SidecarScope,
    SidecarStart,
    TransportKind,
    TransportOption,
    parse_manifest,
    read_raw_manifest,
    validate_manifest,
)

DSP_WORLD = "stellatune:plugin/dsp-plugin@0.1.0"
DECODER_WORLD = "stellatune:plugin/decoder-plugin@0.1.0"

Make = Callable[..., dict[str, Any]]


def component(**changes: Any) -> dict[str, Any]:
    """A valid component, changed as told."""
    data = {"id": "main", "path": "wasm/a.wasm", "world": DSP_WORLD, "abilities": [ability()], **changes}
    return {key: value for key, value in data.items() if value is not None}


def ability(**changes: Any) -> dict[str, Any]:
    """A valid ability, changed as told."""
    data = {"kind": "dsp", "type_id": "gain", **changes}
    return {key: value for key, value in data.items() if value is not None}


def decoder(*scores: Any, **changes: Any) -> dict[str, Any]:
    """A component with a decoder of these scores."""
    return component(
        world=DECODER_WORLD,
        abilities=[ability(kind="decoder", decoder={"ext_scores": list(scores), **changes})],
    )


def problems_of(data: bytes) -> tuple[Problem, ...]:
    """What is wrong with a document."""
    with pytest.raises(ManifestInvalid) as caught:
        parse_manifest(data)
    return caught.value.problems


def paths_of(data: Any) -> list[str]:
    """Where it is wrong."""
    return [problem.path for problem in problems_of(json.dumps(data).encode())]


# --- what passes ----------------------------------------------------------------------------------------------------


def test_a_full_manifest_is_read_whole(make_manifest: Make) -> None:
    """Every field of the contract and of ours arrives in its type."""
    manifest = parse_manifest(
        json.dumps(
            make_manifest(
                description="Line\nline",
                license="MIT",
                homepage="https://example.org/gain",
                components=[
                    component(
                        abilities=[ability(display_name="Gain", config_schema_json="{}", default_config_json="1")]
                    ),
                    decoder({"ext": ".FLAC", "score": 10}, {"ext": "ogg", "score": 0}, wildcard_score=1) | {"id": "b"},
                ],
                permissions={
                    "files": [{"path": "~/Music", "access": "read-write"}, {"path": "/srv/music"}],
                    "hosts": [
                        "api.example.org",
                        "*.example.org:8443",
                        "192.0.2.1",
                        "[2001:db8::1]:80",
                        "http://*:*",
                        "tcp://mpd.example.org:6600",
                        "*",
                    ],
                    "local_network": True,
                    "sidecar": True,
                    "sidecars": [{"id": "helper", "audio": True}, {"id": "bin/other", "network": True}],
                    "memory_mib": 256,
                    "deadline": "patient",
                },
                sidecars=[
                    {
                        "id": "helper",
                        "executable": "bin/helper",
                        "args": ["--x", ""],
                        "start": "on-enable",
                        "scope": "package-shared",
                        "transports": [{"kind": "unix-socket", "priority": 9, "max_frame_bytes": 4096}],
                        "restart": "on-failure",
                        "needs": ["network", "audio", "audio"],
                    }
                ],
            )
        ).encode()
    )

    gain, flac = (c.abilities[0] for c in manifest.components)
    assert (gain.kind, gain.display_name, gain.default_config_json) == (AbilityKind.DSP, "Gain", "1")
    assert flac.decoder is not None
    assert (flac.decoder.scores(), flac.decoder.wildcard_score) == ({"flac": 10, "ogg": 0}, 1)
    assert (manifest.components[0].world_name, manifest.components[0].world_version) == ("dsp-plugin", "0.1.0")
    assert manifest.permissions == Permissions(
        files=(FilePermission("~/Music", FileAccess.READ_WRITE), FilePermission("/srv/music", FileAccess.READ)),
        hosts=(
            HostPermission("api.example.org"),
            HostPermission("*.example.org", 8443),
            HostPermission("192.0.2.1"),
            HostPermission("[2001:db8::1]", 80),
            HostPermission("*", 0, "http"),
            HostPermission("mpd.example.org", 6600, "tcp"),
            HostPermission("*"),
        ),
        local_network=True,
        sidecar=True,
        sidecars=(SidecarPermission("helper", audio=True), SidecarPermission("bin/other", network=True)),
        memory_mib=256,
        deadline=DeadlineTier.PATIENT,
    )
    (sidecar,) = manifest.sidecars
    assert (sidecar.start, sidecar.scope) == (SidecarStart.ON_ENABLE, SidecarScope.PACKAGE_SHARED)
    assert (sidecar.args, sidecar.restart) == (("--x", ""), SidecarRestart.ON_FAILURE)
    assert sidecar.transports == (TransportOption(TransportKind.UNIX_SOCKET, 9, 4096),)
    assert sidecar.needs == (SidecarNeed.AUDIO, SidecarNeed.NETWORK)
    assert [str(key) for key, _ in manifest.ability_keys()] == [
        "org.example.gain/dsp/gain@main",
        "org.example.gain/decoder/gain@b",
    ]
    assert manifest.component("b") == manifest.components[1]


def test_a_manifest_without_permissions_asks_for_nothing(make_manifest: Make) -> None:
    """No permissions field means none of them, and is told from an empty one."""
    manifest = parse_manifest(json.dumps(make_manifest()).encode())

    assert manifest.permissions == Permissions(
        stated=False, files=(), hosts=(), local_network=False, sidecar=False, memory_mib=None
    )


@pytest.mark.parametrize("kind", ["output_sink", "output-sink"])
def test_both_spellings_of_output_sink_are_taken(make_manifest: Make, kind: str) -> None:
    """The field's packages write output_sink; output-sink means the same."""
    world = "stellatune:plugin/output-sink-plugin@0.1.3"
    data = make_manifest(components=[component(world=world, abilities=[ability(kind=kind)])])

    manifest = parse_manifest(json.dumps(data).encode())

    assert manifest.components[0].abilities[0].kind is AbilityKind.OUTPUT_SINK


def test_unknown_fields_are_kept(make_manifest: Make) -> None:
    """Fields of other hosts stay in the raw manifest, at every level, in their order."""
    data = make_manifest(x_extra={"deep": [1, None]}, components=[component(x="y", abilities=[ability(z=1.5)])])

    manifest = parse_manifest(json.dumps(data).encode())

    assert manifest.raw.data == data
    assert json.loads(manifest.raw.to_json()) == data
    assert list(read_raw_manifest(manifest.raw.to_json()).data) == list(data)


def test_null_counts_as_absent_for_optional_fields(make_manifest: Make) -> None:
    """Writers that serialise empty options as null are understood."""
    data = make_manifest(components=[component(abilities=[{**ability(), "display_name": None, "decoder": None}])])
    data["description"] = None

    assert parse_manifest(json.dumps(data).encode()).description is None


def test_a_path_may_start_with_dot_slash(make_manifest: Make) -> None:
    """./wasm/a.wasm is wasm/a.wasm."""
    data = make_manifest(components=[component(path="./wasm/a.wasm")])

    assert parse_manifest(json.dumps(data).encode()).components[0].path == "wasm/a.wasm"


@pytest.mark.parametrize("plugin_id", ["a", "0", "org.example.gain", "a-b.c-d", "a" * 128])
def test_ids_of_the_pattern_pass(make_manifest: Make, plugin_id: str) -> None:
    """Lower-case parts joined by single dots or hyphens, up to 128 characters."""
    assert parse_manifest(json.dumps(make_manifest(id=plugin_id)).encode()).id == plugin_id


# --- what does not --------------------------------------------------------------------------------------------------

BAD_IDS = [
    "A",
    "a..b",
    ".a",
    "a.",
    "a-",
    "-a",
    "a_b",
    "a/b",
    "a b",
    "a\n",
    "\u00e4",
    "a" * 129,
    "../a",
    "",
    "con:",
    "\u0661",
]


@pytest.mark.parametrize("plugin_id", BAD_IDS)
def test_other_ids_are_refused(make_manifest: Make, plugin_id: str) -> None:
    """Nothing else is an id, above all nothing that means something in a path."""
    assert paths_of(make_manifest(id=plugin_id)) == ["id"]


BREACHES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("schema-2", {"schema_version": 2}, ["schema_version"]),
    ("schema-text", {"schema_version": "1"}, ["schema_version"]),
    ("schema-true", {"schema_version": True}, ["schema_version"]),
    ("schema-float", {"schema_version": 1.0}, ["schema_version"]),
    ("no-schema", {"schema_version": None}, ["schema_version"]),
    ("api-0", {"api_version": 0}, ["api_version"]),
    ("no-api", {"api_version": None}, ["api_version"]),
    ("no-id", {"id": None}, ["id"]),
    ("number-id", {"id": 7}, ["id"]),
    ("no-name", {"name": None}, ["name"]),
    ("blank-name", {"name": " \t "}, ["name"]),
    ("name-with-escape", {"name": "\x1b[2Jgain"}, ["name"]),
    ("name-too-long", {"name": "n" * 257}, ["name"]),
    ("empty-version", {"version": ""}, ["version"]),
    ("version-two-lines", {"version": "1\n2"}, ["version"]),
    ("no-components", {"components": None}, ["components"]),
    ("components-object", {"components": {}}, ["components"]),
    ("component-text", {"components": ["x"]}, ["components[0]"]),
    ("component-empty-id", {"components": [component(id="")]}, ["components[0].id"]),
    ("component-no-path", {"components": [component(path=None)]}, ["components[0].path"]),
    ("component-empty-world", {"components": [component(world="")]}, ["components[0].world"]),
    ("component-id-twice", {"components": [component(), component(abilities=[])]}, ["components[1].id"]),
    ("no-abilities", {"components": [component(abilities=None)]}, ["components[0].abilities"]),
    ("ability-number", {"components": [component(abilities=[3])]}, ["components[0].abilities[0]"]),
    (
        "unknown-kind",
        {"components": [component(abilities=[ability(kind="video")])]},
        ["components[0].abilities[0].kind"],
    ),
    ("kind-case", {"components": [component(abilities=[ability(kind="DSP")])]}, ["components[0].abilities[0].kind"]),
    (
        "empty-type-id",
        {"components": [component(abilities=[ability(type_id="")])]},
        ["components[0].abilities[0].type_id"],
    ),
    (
        "kind-and-type-twice",
        {"components": [component(), component(id="b", abilities=[ability()])]},
        ["components[1].abilities[0].type_id"],
    ),
    (
        "empty-display-name",
        {"components": [component(abilities=[ability(display_name="")])]},
        ["components[0].abilities[0].display_name"],
    ),
    (
        "schema-no-json",
        {"components": [component(abilities=[ability(config_schema_json="{")])]},
        ["components[0].abilities[0].config_schema_json"],
    ),
    (
        "default-no-json",
        {"components": [component(abilities=[ability(default_config_json="")])]},
        ["components[0].abilities[0].default_config_json"],
    ),
    (
        "default-nan",
        {"components": [component(abilities=[ability(default_config_json="NaN")])]},
        ["components[0].abilities[0].default_config_json"],
    ),
    (
        "default-too-deep",
        {"components": [component(abilities=[ability(default_config_json="[" * 50 + "]" * 50)])]},
        ["components[0].abilities[0].default_config_json"],
    ),
    (
        "kind-of-another-world",
        {"components": [component(abilities=[ability(kind="lyrics")])]},
        ["components[0].abilities[0].kind"],
    ),
    (
        "decoder-without-rules",
        {"components": [component(world=DECODER_WORLD, abilities=[ability(kind="decoder")])]},
        ["components[0].abilities[0].decoder"],
    ),
    (
        "ext-empty",
        {"components": [decoder({"ext": "", "score": 1})]},
        ["components[0].abilities[0].decoder.ext_scores[0].ext"],
    ),
    (
        "ext-dot",
        {"components": [decoder({"ext": ".", "score": 1})]},
        ["components[0].abilities[0].decoder.ext_scores[0].ext"],
    ),
    (
        "ext-star",
        {"components": [decoder({"ext": "*", "score": 1})]},
        ["components[0].abilities[0].decoder.ext_scores[0].ext"],
    ),
    (
        "ext-twice",
        {"components": [decoder({"ext": "mp3", "score": 1}, {"ext": "MP3", "score": 2})]},
        ["components[0].abilities[0].decoder.ext_scores[1].ext"],
    ),
    (
        "score-negative",
        {"components": [decoder({"ext": "mp3", "score": -1})]},
        ["components[0].abilities[0].decoder.ext_scores[0].score"],
    ),
    (
        "score-missing",
        {"components": [decoder({"ext": "mp3"})]},
        ["components[0].abilities[0].decoder.ext_scores[0].score"],
    ),
    (
        "wildcard-text",
        {"components": [decoder(wildcard_score="9")]},
        ["components[0].abilities[0].decoder.wildcard_score"],
    ),
    ("homepage-script", {"homepage": "javascript:alert(1)"}, ["homepage"]),
    ("homepage-space", {"homepage": "https://example.org/ x"}, ["homepage"]),
    ("permissions-list", {"permissions": []}, ["permissions"]),
    ("file-relative", {"permissions": {"files": [{"path": "Music"}]}}, ["permissions.files[0].path"]),
    ("file-climbs", {"permissions": {"files": [{"path": "~/../etc"}]}}, ["permissions.files[0].path"]),
    ("file-access", {"permissions": {"files": [{"path": "/a", "access": "all"}]}}, ["permissions.files[0].access"]),
    ("host-url", {"permissions": {"hosts": ["http://x.org/"]}}, ["permissions.hosts[0]"]),
    ("host-scheme", {"permissions": {"hosts": ["ftp://x.org"]}}, ["permissions.hosts[0]"]),
    ("host-userinfo", {"permissions": {"hosts": ["https://a@x.org"]}}, ["permissions.hosts[0]"]),
    ("host-tcp-port", {"permissions": {"hosts": ["tcp://x.org"]}}, ["permissions.hosts[0]"]),
    ("host-hex", {"permissions": {"hosts": ["0x7f000001"]}}, ["permissions.hosts[0]"]),
    ("host-star-inside", {"permissions": {"hosts": ["a.*.org"]}}, ["permissions.hosts[0]"]),
    ("deadline", {"permissions": {"deadline": "eternal"}}, ["permissions.deadline"]),
    ("sidecars-id", {"permissions": {"sidecars": [{"audio": True}]}}, ["permissions.sidecars[0].id"]),
    ("host-star-tld", {"permissions": {"hosts": ["*.org"]}}, ["permissions.hosts[0]"]),
    ("host-case", {"permissions": {"hosts": ["Example.org"]}}, ["permissions.hosts[0]"]),
    (
        "host-port",
        {"permissions": {"hosts": ["a.org:0", "a.org:70000"]}},
        ["permissions.hosts[0]", "permissions.hosts[1]"],
    ),
    ("host-octets", {"permissions": {"hosts": ["1.2.3.256"]}}, ["permissions.hosts[0]"]),
    ("sidecar-flag-text", {"permissions": {"sidecar": "yes"}}, ["permissions.sidecar"]),
    ("memory-zero", {"permissions": {"memory_mib": 0}}, ["permissions.memory_mib"]),
    ("sidecar-no-executable", {"sidecars": [{"id": "a"}]}, ["sidecars[0].executable"]),
    ("sidecar-absolute", {"sidecars": [{"id": "a", "executable": "/bin/sh"}]}, ["sidecars[0].executable"]),
    (
        "sidecar-id-twice",
        {"sidecars": [{"id": "a", "executable": "bin/a"}, {"id": "A", "executable": "bin/b"}]},
        ["sidecars[1].id"],
    ),
    ("sidecar-start", {"sidecars": [{"id": "a", "executable": "bin/a", "start": "boot"}]}, ["sidecars[0].start"]),
    ("sidecar-needs", {"sidecars": [{"id": "a", "executable": "b", "needs": ["gpu"]}]}, ["sidecars[0].needs[0]"]),
    ("sidecar-args", {"sidecars": [{"id": "a", "executable": "bin/a", "args": ["\0"]}]}, ["sidecars[0].args[0]"]),
    (
        "sidecar-transport",
        {"sidecars": [{"id": "a", "executable": "bin/a", "transports": [{"kind": "smoke", "priority": 256}]}]},
        ["sidecars[0].transports[0].kind", "sidecars[0].transports[0].priority"],
    ),
    ("too-many-components", {"components": [component(id=str(n), abilities=[]) for n in range(257)]}, ["components"]),
]


@pytest.mark.parametrize(("changes", "paths"), [b[1:] for b in BREACHES], ids=[b[0] for b in BREACHES])
def test_a_breach_is_reported_under_its_field(make_manifest: Make, changes: dict[str, Any], paths: list[str]) -> None:
    """Each rule of the contract, broken once, is one problem at the right path."""
    data = make_manifest()
    data.update({key: value for key, value in changes.items() if value is not None})
    for key in [key for key, value in changes.items() if value is None]:
        del data[key]

    assert paths_of(data) == paths


@pytest.mark.parametrize(
    "path",
    [
        "/a.wasm", "//host/a.wasm", "\\\\host\\a.wasm", "C:/a.wasm", "c:a.wasm", "wasm\\a.wasm", "../a.wasm",
        "wasm/../../a.wasm", "wasm/./a.wasm", "wasm//a.wasm", "wasm/", ".", "..", "a\0.wasm", "a\x07.wasm",
        "a\u202e.wasm", "a\u200b.wasm", "NUL", "con.wasm", "wasm/COM1.wasm", "lpt\u00b9.wasm", "wasm./a.wasm",
        "wasm/a.wasm ", "a:b.wasm", "a?.wasm", "a|b", "x" * 201, "/".join(["d"] * 17), "d/" * 300 + "a",
    ],
)  # fmt: skip
def test_a_component_path_stays_below_the_root(make_manifest: Make, path: str) -> None:
    """A path that means another file on any system is refused."""
    assert paths_of(make_manifest(components=[component(path=path)])) == ["components[0].path"]


@pytest.mark.parametrize(
    "world",
    [
        "dsp-plugin",
        "stellatune:plugin/dsp-plugin",
        "stellatune:plugin/dsp-plugin@0.2.0",
        "stellatune:plugin/dsp-plugin@0.1",
        "stellatune:plugin/dsp-plugin@0.1.00",
        "stellatune:plugin/video-plugin@0.1.0",
        "other:plugin/dsp-plugin@0.1.0",
        " stellatune:plugin/dsp-plugin@0.1.0",
        "stellatune:plugin/dsp-plugin@0.1.0-rc1",
        "stellatune:plugin/output_sink-plugin@0.1.0",
        "stellatune:plugin/dsp-plugin@0.1.0\n",
    ],
)
def test_a_world_of_another_form_is_refused(make_manifest: Make, world: str) -> None:
    """A world is named with package and version, and is one of the five."""
    assert paths_of(make_manifest(components=[component(world=world)])) == ["components[0].world"]


def test_all_problems_are_reported_at_once(make_manifest: Make) -> None:
    """One error names every breach, in the document's order of rules."""
    data = make_manifest(
        id="Bad", name="", components=[component(path="../x", abilities=[ability(type_id=""), ability(kind="tv")])]
    )

    assert paths_of(data) == [
        "id",
        "name",
        "components[0].path",
        "components[0].abilities[0].type_id",
        "components[0].abilities[1].kind",
    ]


def test_thousands_of_problems_are_counted_not_listed() -> None:
    """A message stays readable, whatever the document."""
    problems = problems_of(json.dumps({"components": [{"abilities": [1] * 250} for _ in range(200)]}).encode())

    assert len(problems) == 101
    assert "more problems" in problems[-1].message


def test_foreign_text_is_quoted_in_messages(make_manifest: Make) -> None:
    """A manifest cannot write control sequences into a terminal by way of an error."""
    data = make_manifest(components=[component(world="\u202e", abilities=[ability(kind="\u202e")])])
    data["\x1b[2J"] = 1

    with pytest.raises(ManifestInvalid) as caught:
        parse_manifest(json.dumps(data, ensure_ascii=False).encode())

    assert str(caught.value).isprintable()


DOCUMENTS: list[tuple[str, bytes, str]] = [
    ("empty", b"", "not JSON"),
    ("garbage", b"\x00\x01\x02", "not JSON"),
    ("list", b"[]", "must be an object"),
    ("null", b"null", "must be an object"),
    ("bom", b"\xef\xbb\xbf{}", "byte order mark"),
    ("utf16", "{}".encode("utf-16"), "byte order mark"),
    ("latin1", b'{"id": "\xe4"}', "not UTF-8"),
    ("overlong", b'{"id": "\xc0\xaf"}', "not UTF-8"),
    ("surrogate-bytes", b'{"id": "\xed\xa0\x80"}', "not UTF-8"),
    ("nan", b'{"x": NaN}', "NaN"),
    ("infinity", b'{"x": -Infinity}', "Infinity"),
    ("two-documents", b"{}{}", "not JSON"),
    ("trailing-comma", b'{"a": 1,}', "not JSON"),
    ("comment", b"{} // x", "not JSON"),
    ("deep-list", b'{"x": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "levels deep"),
    ("deep-objects", b'{"a":' * 40 + b"1" + b"}" * 40, "levels deep"),
    ("open-brackets", b"[" * 200_000, "levels deep"),
    ("too-long", b'{"x": "' + b"a" * (256 * 1024) + b'"}', "longer than"),
    ("digits", b'{"x": ' + b"9" * 10_000 + b"}", "not JSON"),
]


@pytest.mark.parametrize(("data", "message"), [d[1:] for d in DOCUMENTS], ids=[d[0] for d in DOCUMENTS])
def test_what_is_no_document_is_refused(data: bytes, message: str) -> None:
    """Encodings, numbers, depths and sizes that JSON or this host does not know end the reading at once."""
    (problem,) = problems_of(data)

    assert problem.path == "$"
    assert message in problem.message


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (b'{"id": "a", "id": "b"}', "id"),
        (b'{"components": [{"path": "a", "x": 1, "path": "../b"}]}', "components[0].path"),
        (b'{"x": {"y": 1, "y": 1}}', "x.y"),
        (b'{"x": "\\ud800"}', "x"),
        (b'{"x": [1e999]}', "x[0]"),
    ],
    ids=["top", "inner", "unknown-field", "lone-surrogate", "number-too-large"],
)
def test_what_readers_could_understand_in_two_ways_is_refused(data: bytes, path: str) -> None:
    """Repeated keys, lone surrogates and infinite numbers are problems wherever they stand."""
    assert path in [problem.path for problem in problems_of(data)]


@pytest.mark.parametrize(
    "data",
    [
        b'{"' + b'\\"' * 120_000,
        b'"' * 250_000,
        b"{" + b",".join(b'"%d":0' % (n % 9) for n in range(40_000)) + b"}",
        b'{"x":"' + b"\\\\" * 120_000 + b'"}',
    ],
    ids=["escaped-quotes", "quotes", "repeated-keys", "backslashes"],
)
@pytest.mark.timeout(10)
def test_reading_takes_linear_time(data: bytes) -> None:
    """Documents built to make a reader slow are refused quickly."""
    assert problems_of(data)


# --- properties -----------------------------------------------------------------------------------------------------

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ["schema_version", "id", "name", "version", "components", "permissions", "sidecars", "homepage"]


@given(data=st.binary(max_size=300))
def test_any_bytes_give_a_manifest_or_manifest_invalid(data: bytes) -> None:
    """No bytes make the reader fail in another way."""
    with pytest.raises(ManifestInvalid):
        parse_manifest(data)


@given(changes=st.dictionaries(st.sampled_from(FIELDS), JSON_VALUES, max_size=3))
def test_any_values_in_fields_give_a_manifest_or_manifest_invalid(changes: dict[str, Any]) -> None:
    """No value in a field makes the reader fail in another way; each problem names a path."""
    data = {"schema_version": 1, "id": "a", "name": "a", "version": "1", "api_version": 1, "components": [component()]}
    try:
        manifest = parse_manifest(json.dumps({**data, **changes}).encode())
    except ManifestInvalid as error:
        problems = error.problems
    else:
        problems = (Problem("none", "none"),)
        assert manifest.raw.data == {**data, **changes}
    assert problems
    assert all(problem.path and problem.message for problem in problems)


@given(
    where=st.integers(0, 3),
    value=JSON_VALUES,
    key=st.sampled_from(["kind", "type_id", "decoder", "display_name", "path"]),
)
def test_any_values_in_components_give_a_manifest_or_manifest_invalid(where: int, value: Any, key: str) -> None:
    """The same further down: components, abilities, decoder rules."""
    inner = decoder({"ext": "a", "score": 1})
    spot = [
        inner,
        inner["abilities"][0],
        inner["abilities"][0]["decoder"],
        inner["abilities"][0]["decoder"]["ext_scores"][0],
    ]
    spot[where][key] = value
    data = {"schema_version": 1, "id": "a", "name": "a", "version": "1", "api_version": 1, "components": [inner]}
    try:
        manifest = parse_manifest(json.dumps(data).encode())
    except ManifestInvalid as error:
        problems = error.problems
    else:
        problems = (Problem("none", "none"),)
        assert manifest.raw.data == data
    assert problems


def test_a_raw_manifest_is_checked_when_asked(make_manifest: Make) -> None:
    """Raw and validated manifests are two types: the raw one may break every rule."""
    raw = read_raw_manifest(b'{"id": "NOT AN ID"}')

    with pytest.raises(ManifestInvalid):
        validate_manifest(raw)
