"""Every transport keeps every promise of the suite."""

from __future__ import annotations

import pytest

from stellatune_plugins.testing.channels import ChannelCheck, MakeRig, channel_checks


@pytest.mark.parametrize("check", channel_checks(), ids=str)
def test_promise(check: ChannelCheck, make: MakeRig) -> None:
    """Over a real child process that uses the kit's own end."""
    check.run(make)
