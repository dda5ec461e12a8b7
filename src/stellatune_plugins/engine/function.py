"""A prepared call of one function that a guest exports."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from stellatune_plugins.engine import component_capi as api
from stellatune_plugins.engine.codec import FunctionCodec, layout
from stellatune_plugins.errors import InstanceDead

if TYPE_CHECKING:
    from stellatune_plugins.engine.component import ComponentInstance


class GuestFunction:
    """Calls one exported function of one instance; values are as in :mod:`stellatune_plugins.engine.values`.

    Prepared once: the codec, the result's memory and the default deadline. It belongs to its instance, and so to
    whatever thread is inside the Store.

    Args:
        instance: where the function lives.
        codec: of its type.
        raw: the ``wasmtime_component_func_t``.
    """

    __slots__ = (
        "_address",
        "_call",
        "_codec",
        "_frame",
        "_instance",
        "_raw",
        "_result",
        "_result_address",
        "_store",
        "_ticks",
    )

    def __init__(self, instance: ComponentInstance, codec: FunctionCodec, raw: Any) -> None:
        self._instance = instance
        self._frame = instance.frame
        self._store = instance.store
        self._codec = codec
        self._raw = raw
        self._address = ctypes.addressof(raw)
        self._result = bytearray(layout.VALUE_BYTES)
        self._result_address = ctypes.addressof(ctypes.c_char.from_buffer(self._result))
        self._ticks = instance.ticks
        self._call = instance.guarded(api.func_call)

    @property
    def name(self) -> str:
        """Such as ``dsp.processor.close``."""
        return self._codec.name

    def __call__(self, *args: Any, deadline: float | None = None) -> Any:
        """Call it.

        Args:
            args: one for each parameter; a method's first is its resource.
            deadline: seconds for the guest; the instance's own by default. Time spent in host imports counts, but
                only guest code can be stopped.

        Raises:
            ValueInvalid: an argument does not fit; the guest was not entered and the instance lives on.
            GuestTrap: the guest trapped.
            CallDeadline: it ran too long.
            GuestContract: what it returned cannot be read.
            HostImportFailed: an import of the host's raised; that exception is its cause.
            InstanceDead: the instance has failed before, or was closed. After all others but ``ValueInvalid`` it is.
            StoreMisuse: somebody else is inside the Store.
        """
        instance, store, codec = self._instance, self._store, self._codec
        store.enter(self._ticks if deadline is None else store.engine.ticks(deadline))
        try:
            if instance.dead_because is not None:
                raise InstanceDead(f"the instance is dead: {instance.dead_because}", operation=codec.name)
            keep: list[Any] = []
            if codec.arity or args:
                try:
                    image = codec.encode_args(args, keep, instance.handles)
                except BaseException:
                    instance.handles.take_back(keep)
                    raise
                if codec.params_carry_handles:
                    instance.handles.commit(keep)
            else:
                image = b""
            decode = codec.decode_result
            try:
                error = self._call(
                    self._address,
                    store.context_address,
                    image,
                    codec.arity,
                    self._result_address,
                    0 if decode is None else 1,
                )
                if error is None and self._frame.failure is None:
                    if decode is None:
                        value = None
                    else:
                        value = decode(self._result, 0, instance.handles)
                        if codec.result_owns_memory:
                            # In this order an interrupt in between leaks; in the other, wasmtime frees twice, since
                            # it drops what it finds in the result's place at the next call.
                            stale = bytes(self._result)
                            self._result[0] = layout.BOOL
                            api.val_delete(stale)
                    if codec.params_carry_handles:
                        instance.handles.end_loans(keep)
                    return value
            except Exception as failure:
                instance.die(f"{codec.name} was left by {type(failure).__name__}")
                raise
            raise instance.failed(error, codec.name)
        finally:
            store.leave()

    def __repr__(self) -> str:
        return f"<GuestFunction {self._codec.name}: {self._codec.kind}>"
