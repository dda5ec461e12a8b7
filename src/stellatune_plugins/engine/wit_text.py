"""Reads WIT packages: as much of the language as the contract's package uses.

The contract's WIT files are the one place where its types are written down; the world check compares components with
what this gives. Anything outside the known part of the language is an error, so no new construct is overlooked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from stellatune_plugins.engine.wit_types import (
    PRIMITIVES,
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

_TOKEN: Final = re.compile(
    r"\s+|//[^\n]*|/\*.*?\*/|(?P<token>->|%?[a-zA-Z][a-zA-Z0-9-]*|[0-9][0-9.]*|[{}()<>,;:=.@/_])", re.DOTALL
)


class WitUnreadable(ValueError):
    """Raised when a text is not of the known part of WIT."""


class World(msgspec.Struct, frozen=True):
    """What components of a world may import and must export: names of interfaces."""

    imports: frozenset[str]
    exports: frozenset[str]


class WitPackage(msgspec.Struct, frozen=True):
    """A package's name with version, its interfaces and worlds, and whose types each interface uses."""

    name: str
    interfaces: dict[str, InterfaceShape]
    worlds: dict[str, World]
    uses: dict[str, frozenset[str]]

    def allowed_imports(self, world: str) -> frozenset[str]:
        """The interfaces that a component of a world may import: the world's, and all whose types are used."""
        found = self.worlds[world]
        allowed, pending = set(found.imports), [*found.imports, *found.exports]
        while pending:
            for used in self.uses[pending.pop()]:
                if used not in allowed:
                    allowed.add(used)
                    pending.append(used)
        return frozenset(allowed)


def read_package(texts: Iterable[str]) -> WitPackage:
    """The package that some files make up together.

    Raises:
        WitUnreadable: a text is not understood, or the files are of different packages.
    """
    drafts: dict[str, _Draft] = {}
    worlds: dict[str, World] = {}
    package = ""
    for text in texts:
        parser = _Parser(text)
        name = parser.package()
        if package and name != package:
            raise WitUnreadable(f"{name} beside {package}")
        package = name
        parser.items(drafts, worlds)
    unversioned = package.partition("@")[0]
    shapes = {name: _Resolver(unversioned, drafts, name).shape() for name in drafts}
    return WitPackage(package, shapes, worlds, {name: frozenset(draft.uses) for name, draft in drafts.items()})


class _Draft(msgspec.Struct):
    """An interface as written. A type is a name, or a tuple of a constructor and its arguments."""

    types: dict[str, Any] = msgspec.field(default_factory=dict)
    functions: dict[str, tuple[list[tuple[str, Any]], Any]] = msgspec.field(default_factory=dict)
    used: dict[str, tuple[str, str]] = msgspec.field(default_factory=dict)
    uses: set[str] = msgspec.field(default_factory=set)


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens: list[str] = []
        self._at = at = 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise WitUnreadable(f"unknown text: {text[at : at + 20]!r}")
            if found["token"]:
                self._tokens.append(found["token"])
            at = found.end()

    # --- tokens ---------------------------------------------------------------------------------------------------

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        if not token:
            raise WitUnreadable("the text ends too early")
        self._at += 1
        return token

    def _accept(self, token: str) -> bool:
        if self._peek() != token:
            return False
        self._at += 1
        return True

    def _expect(self, *tokens: str) -> None:
        for token in tokens:
            found = self._next()
            if found != token:
                raise WitUnreadable(f"{found!r} where {token!r} is expected")

    def _name(self) -> str:
        name = self._next().removeprefix("%")
        if not name[0].isalpha():
            raise WitUnreadable(f"{name!r} where a name is expected")
        return name

    # --- items ----------------------------------------------------------------------------------------------------

    def package(self) -> str:
        self._expect("package")
        name = self._name()
        self._expect(":")
        name += ":" + self._name()
        self._expect("@")
        name += "@" + self._next()
        self._expect(";")
        return name

    def items(self, drafts: dict[str, _Draft], worlds: dict[str, World]) -> None:
        while self._peek():
            if self._accept("interface"):
                name = self._name()
                drafts[name] = self._interface()
            else:
                self._expect("world")
                name = self._name()
                worlds[name] = self._world()

    def _world(self) -> World:
        sides: dict[str, set[str]] = {"import": set(), "export": set()}
        self._expect("{")
        while not self._accept("}"):
            side = self._next()
            if side not in sides:
                raise WitUnreadable(f"{side!r} in a world")
            sides[side].add(self._name())
            self._expect(";")
        return World(frozenset(sides["import"]), frozenset(sides["export"]))

    def _interface(self) -> _Draft:
        draft = _Draft()
        self._expect("{")
        while not self._accept("}"):
            word = self._next()
            match word:
                case "use":
                    self._use(draft)
                case "record" | "variant" | "enum" | "flags":
                    name = self._name()
                    draft.types[name] = (word, self._members(self._member_of(word)))
                case "type":
                    name = self._name()
                    self._expect("=")
                    draft.types[name] = self._type()
                    self._expect(";")
                case "resource":
                    self._resource(draft)
                case _:  # an escaped keyword is a name like any other
                    self._at -= 1
                    name = self._name()
                    self._expect(":")
                    draft.functions[name] = self._function([])
        return draft

    def _use(self, draft: _Draft) -> None:
        source = self._name()
        draft.uses.add(source)
        self._expect(".")
        for name in self._members(self._name):
            draft.used[name] = (source, name)
        self._expect(";")

    def _resource(self, draft: _Draft) -> None:
        name = self._name()
        draft.types[name] = ("resource", name)
        if self._accept(";"):
            return
        self._expect("{")
        while not self._accept("}"):
            method = self._name()
            self._expect(":")
            if method == "constructor" or self._peek() == "static":
                raise WitUnreadable(f"{method!r} in a resource: only methods are known")
            draft.functions[f"[method]{name}.{method}"] = self._function([("self", ("borrow", name))])

    def _function(self, params: list[tuple[str, Any]]) -> tuple[list[tuple[str, Any]], Any]:
        self._expect("func", "(")
        while not self._accept(")"):
            params.append(self._typed_member())
            if not self._accept(","):
                self._expect(")")
                break
        result = self._type() if self._accept("->") else None
        self._expect(";")
        return params, result

    def _members(self, member: Callable[[], Any]) -> list[Any]:
        self._expect("{")
        members = []
        while not self._accept("}"):
            members.append(member())
            if not self._accept(","):
                self._expect("}")
                break
        return members

    def _member_of(self, word: str) -> Callable[[], Any]:
        return {"record": self._typed_member, "variant": self._case}.get(word, self._name)

    def _typed_member(self) -> tuple[str, Any]:
        name = self._name()
        self._expect(":")
        return name, self._type()

    def _case(self) -> tuple[str, Any]:
        name = self._name()
        kind = None
        if self._accept("("):
            kind = self._type()
            self._expect(")")
        return name, kind

    def _type(self) -> Any:
        name = self._name()
        if name not in {"list", "option", "result", "tuple", "borrow", "own"}:
            return name
        arguments: list[Any] = []
        if name == "result" and self._peek() != "<":
            return (name, None, None)
        self._expect("<")
        while True:
            arguments.append(None if self._accept("_") else self._type())
            if not self._accept(","):
                break
        self._expect(">")
        if name == "result":
            arguments = [*arguments, None][:2]
        return (name, arguments) if name == "tuple" else (name, *arguments)


class _Resolver:
    """Turns what was written in one interface into types."""

    def __init__(self, package: str, drafts: dict[str, _Draft], name: str) -> None:
        self._package = package
        self._drafts = drafts
        self._name = name
        if name not in drafts:
            raise WitUnreadable(f"the package has no interface {name!r}")
        self._draft = drafts[name]

    def shape(self) -> InterfaceShape:
        functions = {
            name: FunctionType(
                tuple((param, self._resolve(kind)) for param, kind in params),
                None if result is None else self._resolve(result),
            )
            for name, (params, result) in self._draft.functions.items()
        }
        resources: dict[str, str] = {}
        types: dict[str, WitType] = {}
        for name in (*self._draft.types, *self._draft.used):
            kind = self._named(name)
            if isinstance(kind, HandleTo):
                resources[name] = kind.resource
            else:
                types[name] = kind
        return InterfaceShape(functions, resources, types)

    def _named(self, name: str) -> WitType:
        if name in self._draft.used:
            source, original = self._draft.used[name]
            return _Resolver(self._package, self._drafts, source)._named(original)  # noqa: SLF001 - one class
        if name not in self._draft.types:
            raise WitUnreadable(f"the interface {self._name} has no type {name!r}")
        written = self._draft.types[name]
        if isinstance(written, tuple) and written[0] == "resource":
            return HandleTo(f"{self._package}/{self._name}#{name}", owned=True)
        return self._resolve(written)

    def _optional(self, written: Any) -> WitType | None:
        return None if written is None else self._resolve(written)

    def _resolve(self, written: Any) -> WitType:  # noqa: C901, PLR0911 - one branch a kind of type
        if isinstance(written, str):
            return Primitive(written) if written in PRIMITIVES else self._named(written)
        match written:
            case ("list", element):
                return ListOf(self._resolve(element))
            case ("option", payload):
                return OptionOf(self._resolve(payload))
            case ("result", ok, err):
                return ResultOf(self._optional(ok), self._optional(err))
            case ("tuple", elements):
                return TupleOf(tuple(map(self._resolve, elements)))
            case ("record", fields):
                return RecordOf(tuple((name, self._resolve(kind)) for name, kind in fields))
            case ("variant", cases):
                return VariantOf(tuple((name, self._optional(kind)) for name, kind in cases))
            case ("enum", names):
                return EnumOf(tuple(names))
            case ("flags", names):
                return FlagsOf(tuple(names))
            case ("own" | "borrow" as how, name):
                kind = self._named(name)
                if isinstance(kind, HandleTo):
                    return HandleTo(kind.resource, owned=how == "own")
        raise WitUnreadable(f"unknown type {written!r}")
