"""The reader of WIT, and the names of interfaces and their versions."""

from __future__ import annotations

import pytest

from stellatune_plugins.engine.wit_names import QualifiedName, find_compatible
from stellatune_plugins.engine.wit_text import WitUnreadable, read_package
from stellatune_plugins.engine.wit_types import (
    EnumOf,
    FlagsOf,
    FunctionType,
    HandleTo,
    InterfaceShape,
    ListOf,
    OptionOf,
    Primitive,
    RecordOf,
    ResultOf,
    TupleOf,
    VariantOf,
    WitType,
)

U8, U32, STRING = Primitive("u8"), Primitive("u32"), Primitive("string")


def interface(body: str) -> InterfaceShape:
    """The shape of one interface."""
    return read_package([f"package a:b@1.0.0; interface i {{ {body} }}"]).interfaces["i"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("u8", U8),
        ("list<list<u8>>", ListOf(ListOf(U8))),
        ("option<string>", OptionOf(STRING)),
        ("result", ResultOf(None, None)),
        ("result<u8>", ResultOf(U8, None)),
        ("result<_, string>", ResultOf(None, STRING)),
        ("result<u8, string>", ResultOf(U8, STRING)),
        ("tuple<u8, tuple<string>>", TupleOf((U8, TupleOf((STRING,))))),
    ],
)
def test_types_are_read(written: str, meant: WitType) -> None:
    """Every constructor; printing gives the text back."""
    shape = interface(f"f: func(v: {written}) -> {written};")
    assert shape.functions == {"f": FunctionType((("v", meant),), meant)}
    assert str(meant) == written


def test_definitions_are_read() -> None:
    """With and without a last comma, comments left out, escaped names as they are meant."""
    shape = interface("""
        // a comment with interface x { in it
        record point { x: u8, %type: option<u32>, }
        variant shape { dot, /* none */ circle(point) }
        enum e { a, b }
        flags f { c, d, }
        type alias = list<point>;
        %use: func(v: alias);
    """)
    point = RecordOf((("x", U8), ("type", OptionOf(U32))))
    assert shape.types == {
        "point": point,
        "shape": VariantOf((("dot", None), ("circle", point))),
        "e": EnumOf(("a", "b")),
        "f": FlagsOf(("c", "d")),
        "alias": ListOf(point),
    }
    assert shape.functions["use"] == FunctionType((("v", ListOf(point)),), None)


def test_resources_keep_their_home() -> None:
    """Methods lend themselves; an interface that uses a resource passes it on."""
    package = read_package(
        [
            "package a:b@1.0.0; interface one { resource r { close: func(); } make: func() -> r; }",
            "package a:b@1.0.0; interface two { use one.{r}; eat: func(v: r, w: borrow<r>); }",
        ]
    )
    one, two = package.interfaces["one"], package.interfaces["two"]
    own, lent = HandleTo("a:b/one#r", owned=True), HandleTo("a:b/one#r", owned=False)
    assert one.functions == {
        "[method]r.close": FunctionType((("self", lent),), None),
        "make": FunctionType((), own),
    }
    assert two.functions == {"eat": FunctionType((("v", own), ("w", lent)), None)}
    assert one.resources == two.resources == {"r": "a:b/one#r"}


@pytest.mark.parametrize(
    "text",
    [
        "interface i {}",
        "package a:b@1.0.0; interface i {",
        "package a:b@1.0.0; interface i { f: func(v: unknown); }",
        "package a:b@1.0.0; interface i { f: func(v: stream<u8>); }",
        "package a:b@1.0.0; interface i { use nowhere.{x}; }",
        "package a:b@1.0.0; interface i { resource r { constructor(); } }",
        "package a:b@1.0.0; interface i { f: async func(); }",
        "package a:b@1.0.0; world w { include x; }",
        "package a:b@1.0.0; interface i { record r { x: u8 y: u8 } }",
        "package a:b@1.0.0; interface i { \x00 }",
    ],
)
def test_the_unknown_is_refused(text: str) -> None:
    """Rather than passed over."""
    with pytest.raises(WitUnreadable):
        read_package([text])


def test_files_of_different_packages_do_not_mix() -> None:
    """They would make up a contract that nobody wrote."""
    with pytest.raises(WitUnreadable, match="beside"):
        read_package(["package a:b@1.0.0;", "package a:c@1.0.0;"])


@pytest.mark.parametrize(
    ("one", "other", "fit"),
    [
        ("a:b/c@0.1.0", "a:b/c@0.1.9", True),
        ("a:b/c@0.1.0", "a:b/c@0.2.0", False),
        ("a:b/c@1.0.0", "a:b/c@1.9.0", True),
        ("a:b/c@1.0.0", "a:b/c@2.0.0", False),
        ("a:b/c@0.1.0", "a:b/d@0.1.0", False),
        ("a:b/c@0.1.0", "a:x/c@0.1.0", False),
        ("a:b/c@0.1.0", "a:b/c", False),
        ("a:b/c", "a:b/c", True),
        ("a:b/c@0.1.0-rc.1", "a:b/c@0.1.0", False),
        ("a:b/c@0.1.0-rc.1", "a:b/c@0.1.0-rc.1", True),
        ("a:b/c@0.1.0+build", "a:b/c@0.1.1", True),
    ],
)
def test_which_versions_serve_each_other(one: str, other: str, fit: bool) -> None:
    """In both directions alike."""
    first, second = QualifiedName.parse(one), QualifiedName.parse(other)
    assert first is not None
    assert second is not None
    assert first.compatible(second) is second.compatible(first) is fit


@pytest.mark.parametrize(
    "text", ["", "a:b", "a/b@1.0.0", "a:b/c@1", "a:b/c@01.0.0", "a:b/c@1.0.0 ", "A:b/c", "a:b/c@1.0.99999999999"]
)
def test_what_is_no_name(text: str) -> None:
    """Malformed names belong to no package."""
    assert QualifiedName.parse(text) is None


def test_the_exact_version_is_preferred_and_then_the_newest() -> None:
    """Among those that fit."""
    names = ["a:b/c@0.1.9", "a:b/c@0.1.0", "a:b/c@0.1.10", "a:b/c@0.2.0"]
    assert find_compatible("a:b/c@0.1.0", names) == "a:b/c@0.1.0"
    assert find_compatible("a:b/c@0.1.5", names) == "a:b/c@0.1.10"
    assert find_compatible("a:b/c@0.3.0", names) is None
    assert find_compatible("plain", ["plain"]) == "plain"
    assert find_compatible("plain", names) is None
