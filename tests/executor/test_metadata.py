"""What the host keeps of a guest's extras: pictures as bytes and as text, and what is left out."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from stellatune_plugins.engine.values import Variant
from stellatune_plugins.executor.worlds.metadata import MAX_BINARY, MAX_TEXT, metadata_of

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
NAMES = ("artists", "album-artists", "genres")
NUMBERS = ("track-number", "track-total", "disc-number", "disc-total", "year")


def kept(*extras: tuple[str, str, Any]) -> Any:
    """The metadata of a guest that gives these and nothing else."""
    tags: dict[str, Any] = dict.fromkeys(("title", "album", "comment", *NUMBERS))
    names: dict[str, list[str]] = {name: [] for name in NAMES}
    sound = dict.fromkeys(("sample-rate", "channels", "bitrate-kbps", "container"))
    entries = [{"key": key, "value": Variant(kind, value)} for key, kind, value in extras]
    return metadata_of(
        {"tags": tags | names, "duration-ms": None, "format": {"codec": "x", **sound}, "extras": entries}
    )


def uri(data: bytes, head: str = "data:image/png;base64,") -> str:
    """As a data URI."""
    return head + base64.b64encode(data).decode()


@pytest.mark.parametrize("head", ["data:image/png;base64,", "data:;base64,", "data:application/octet-stream;base64,"])
def test_a_picture_as_text_is_the_picture(head: str) -> None:
    """Whatever kind it claims to be of."""
    assert kept(("picture.front", "text", uri(PNG, head))) == kept(("picture.front", "bytes", PNG))
    assert kept(("picture", "text", uri(b"no picture", head))) == kept(("picture", "bytes", b"no picture"))


@pytest.mark.parametrize(
    "text",
    [
        "", "data:", "data:,", "data:image/png,abcd", "data:image/png;base64", "DATA:;base64,AAAA",
        "data:;base64,AAA", "data:;base64,A===", "data:;base64,AA AA", "data:;base64,\u00e4AAA", "data:;base64,AAAA\n",
        "data:" + "x" * 200 + ";base64,AAAA", " data:;base64,AAAA",
    ],
)  # fmt: skip
def test_other_texts_stay_texts(text: str) -> None:
    """A file may have a tag of any name with anything in it."""
    found = kept(("picture.front", "text", text))
    assert found.pictures == ()
    assert [extra.key for extra in found.extras] == ["picture.front"]
    assert isinstance(found.extras[0].value, str)


def test_a_data_uri_under_another_name_is_no_picture() -> None:
    """It is a text, cut like one."""
    (extra,) = kept(("pictures", "text", uri(bytes(MAX_TEXT)))).extras
    assert len(extra.value) == MAX_TEXT + 1  # an ellipsis says that there was more


def test_what_has_no_room_is_told() -> None:
    """By the host where it leaves something out, as by a guest; what comes behind has its chance."""
    large = uri(PNG + bytes(MAX_BINARY - 2_000))
    found = kept(
        ("picture.front", "text", large),
        ("picture.back", "text", uri(PNG + bytes(3 << 20))),
        ("raw", "bytes", bytes(2 << 20)),
        ("picture.icon", "bytes", PNG),
        ("picture.left-out", "text", "a leaflet\nof 1 GiB" + "!" * 300),
        *[("picture.left-out", "text", "x")] * 100,
    )
    assert [picture.description for picture in found.pictures] == ["front", "icon"]
    assert found.extras == ()
    assert found.left_out[:2] == (
        "picture.back of 3.0 MiB: no more than 16 MiB in all",
        "raw of 2.0 MiB: no more than 16 MiB in all",
    )
    assert len(found.left_out) == 16
    assert found.left_out[2].startswith("a leaflet")
    assert "\n" not in found.left_out[2]
    assert len(found.left_out[2]) == 201  # an ellipsis says that there was more
