"""The sidecar's end of the transports: light, and as the guide says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sidecar_rigs import spawned

from stellatune_plugins.host.sidecar import SidecarChannel, TransportWish
from stellatune_plugins.host.sidecar.transports import ChannelPlan
from stellatune_plugins.sdk import sidecar
from stellatune_plugins.testing.channels import send

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "writing-sidecars.md"


def test_it_needs_the_standard_library_alone() -> None:
    """A sidecar starts with it in milliseconds, whatever else is installed."""
    code = "import sys, stellatune_plugins.sdk.sidecar; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    ours = {"stellatune_plugins"}
    # What the environment's own start-up hooks load is not ours.
    plain = subprocess.run(
        [sys.executable, "-I", "-c", code.replace(", stellatune_plugins.sdk.sidecar", "")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert loaded - set(plain.stdout.split()) - set(sys.stdlib_module_names) == ours


def test_every_public_name_exists() -> None:
    """The list at its head is what there is."""
    assert all(hasattr(sidecar, name) for name in sidecar.__all__)


def line(channel: SidecarChannel) -> dict[str, object]:
    """One answer."""
    data = b""
    while not data.endswith(b"\n"):
        data += channel.read(1000, 5000)
    answer: dict[str, object] = json.loads(data)
    return answer


@pytest.mark.parametrize("control", ["stdio", "unix-socket", "loopback-tcp"])
@pytest.mark.parametrize("data", ["shared-memory-ring", "named-pipe"])
def test_the_guides_example_works(control: str, data: str, tmp_path: Path) -> None:
    """Word for word, over several pairs of transports; it ends by itself when it is asked to."""
    (example,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    script = tmp_path / "meter.py"
    # What is printed after the control channel was opened gets into nobody's way.
    script.write_text(example.replace("control = open_control()", "control = open_control()\nprint('x' * 100000)"))
    plan = ChannelPlan(control=(TransportWish(control, 1, None),), data=(TransportWish(data, 1, None),))
    with spawned(plan, [sys.executable, "-I", str(script)]) as (offer, process):
        channel = offer.open_control()
        assert channel.transport() == control
        send(channel, b'{"op": "dance"}\n')
        assert line(channel) == {"error": "no such operation"}
        send(channel, b'{"op": "measure"}\n')
        pcm = offer.open_data("pcm")
        assert pcm.transport() == data
        send(pcm, bytes(range(200)))
        assert line(channel) == {"loudest": 199}
        pcm.close()
        offer.close_stdin()
        assert process.wait(5) == 0
        channel.close()
