"""Every deadline of the executor, in one table."""

from __future__ import annotations

import math

import msgspec


class Deadlines(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds that each kind of guest call may take before it is stopped.

    The defaults are generous for an honest plugin on a busy machine (a C component answers in microseconds, one in
    Python in milliseconds) and short enough that a person waiting on a hanging one does not give up on the host.

    Raises:
        ValueError: where an entry is not a positive, finite number.
    """

    activation: float = 5.0
    """Instantiating a component: its start functions and static initialisers run guest code."""
    on_enable: float = 5.0
    on_disable: float = 2.0
    create: float = 5.0
    """Making a capability instance, such as ``dsp.create``."""
    call: float = 2.0
    """Control calls: descriptions, configuration, state."""
    process: float = 1.0
    """One block of samples on the component path."""
    drop: float = 1.0
    """``close`` of an instance, and its destructor: each on its own."""
    transfer: float = 30.0
    """A call that may wait for a stream: opening, reading and seeking a track. A network may be behind each of them,
    and the host's own imports give up before the guest's call ends."""
    query: float = 35.0
    """A call that may wait for a server's answer, or for several: catalogues, searches, lyrics."""
    device: float = 15.0
    """A call that may wait for a device or a sidecar: targets, negotiation, opening, one write, a reset."""
    play_out: float = 35.0
    """``output-sink.flush``, which waits until everything was played."""
    wait: float = 40.0
    """How long a teardown waits for a call in another thread to end, once the streams and channels that the call could
    wait for were closed. Above every deadline of a single call."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            seconds = getattr(self, name)
            if not (math.isfinite(seconds) and seconds > 0):
                raise ValueError(f"the deadline {name} is {seconds}, not a positive number of seconds")

    def times(self, factor: float) -> Deadlines:
        """Every one so many times as long, but for :attr:`wait`, which is never shortened."""
        calls = {name: getattr(self, name) * factor for name in self.__struct_fields__ if name != "wait"}
        return Deadlines(**calls, wait=self.wait * max(1.0, factor))

    @classmethod
    def uniform(cls, seconds: float) -> Deadlines:
        """The same deadline for every guest call."""
        calls = {name: seconds for name in cls.__struct_fields__ if name != "wait"}
        return cls(**calls, wait=max(10.0, 2 * seconds))
