"""Where an ability is looked up.

==========  ========================================  ==================================
route       kinds that installed wasm packages serve  kinds that only native plugins serve
==========  ========================================  ==================================
``native``  native                                    native
``wasm``    wasm                                      native
``hybrid``  native, then wasm                         native
==========  ========================================  ==================================
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from stellatune_plugins.model import AbilityKind, RuntimeKind, RuntimeRoute


class RoutePolicy(msgspec.Struct, frozen=True):
    """The table above as a function.

    Args:
        route: what the user chose.
        wasm_kinds: the kinds of ability that any installed wasm package serves.
    """

    route: RuntimeRoute
    wasm_kinds: frozenset[AbilityKind]

    @classmethod
    def over(cls, route: RuntimeRoute, kinds: Collection[AbilityKind]) -> RoutePolicy:
        """The policy for what is installed."""
        return cls(route, frozenset(kinds))

    def order(self, kind: AbilityKind) -> tuple[RuntimeKind, ...]:
        """The runtimes that are asked for this kind, the first answer wins."""
        if kind not in self.wasm_kinds or self.route is RuntimeRoute.NATIVE:
            return (RuntimeKind.NATIVE,)
        if self.route is RuntimeRoute.WASM:
            return (RuntimeKind.WASM,)
        return (RuntimeKind.NATIVE, RuntimeKind.WASM)
