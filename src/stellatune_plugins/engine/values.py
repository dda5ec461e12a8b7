"""The one Python form of every WIT value.

===================  =================================================================================================
WIT                  Python
===================  =================================================================================================
``bool``             ``bool``
``u8`` to ``s64``    ``int``, checked against the type's range; a ``bool`` is refused
``f32``, ``f64``     ``float`` (an ``int`` is taken too); ``f32`` rounds, every NaN arrives as a NaN
``char``             ``str`` of one character that is no surrogate
``string``           ``str`` without lone surrogates
``list<u8>``         ``bytes`` (``bytearray`` and contiguous ``memoryview`` are taken too)
``list<T>``          ``list`` (a ``tuple`` is taken too)
``record``           ``dict`` whose keys are the field names as WIT writes them: no more and no fewer
``tuple``            ``tuple``
``enum``             ``str``: the case's name
``variant``          :class:`Variant`
``option``           ``None`` or :class:`Some`
``result``           :class:`Ok` or :class:`Err`
``flags``            ``frozenset`` of ``str`` (a ``set`` is taken too)
guest's resource     :class:`~stellatune_plugins.engine.resources.GuestResource`
host's resource      the host's own object, of the class that was registered for the resource
===================  =================================================================================================

The form never depends on a value or on a neighbouring case, so ``result<option<T>, E>`` has no ambiguity.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Variant(msgspec.Struct, frozen=True):
    """A value of a WIT ``variant``; ``value`` is ``None`` where the case carries nothing."""

    case: str
    value: Any = None


class Some(msgspec.Struct, frozen=True):
    """The present value of a WIT ``option``; the absent one is ``None``."""

    value: Any


class Ok(msgspec.Struct, frozen=True):
    """The good outcome of a WIT ``result``; ``value`` is ``None`` where it carries nothing."""

    value: Any = None


class Err(msgspec.Struct, frozen=True):
    """The bad outcome of a WIT ``result``; ``value`` is ``None`` where it carries nothing."""

    value: Any = None
