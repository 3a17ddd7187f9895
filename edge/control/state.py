"""What one version of the configuration means to control: compiled whole, swapped whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge import contract
from edge._fast import Slab
from edge.control.refusal import Refusals
from edge.dialects.kinds import KINDS
from edge.dialects.routes import OWN, ROUTES
from edge.values.registry import Registry
from edge.values.snapshot import Snapshot

_SURFACES = {route.name: route.surface for route in (*ROUTES, *OWN)}


@dataclass(frozen=True, slots=True)
class State:
    """One version. `statuses` are those of each condition, by surface."""

    slab: Slab
    registry: Registry
    snapshot: Snapshot
    refusals: Refusals
    statuses: dict[str, list[int]]
    kinds: Mapping[str, str]

    @classmethod
    def of(cls, slab: Slab, registry: Registry, snapshot: Snapshot) -> State:
        """Compile, or raise and have changed nothing."""
        wording = dict(snapshot.wording)
        admin = contract.compile_surface(wording["admin"], "admin")
        statuses: dict[str, list[int]] = {
            kind: contract.statuses(wording[kind], snapshot.flags) for kind in KINDS}
        kinds = {provider.name: provider.kind for provider in snapshot.providers}
        return cls(slab, registry, snapshot, Refusals(admin), statuses, kinds)

    def status(self, route: str, provider: str, condition: int) -> int:
        """What the contract answers to a condition there; 0: the provider's own status, or none.

        A provider is asked in its own dialect alone. A request without a route, or on one of both dialects that was
        relayed nowhere, is taken to be answered on the first surface.
        """
        surface = self.kinds.get(provider) or _SURFACES.get(route, KINDS[0])
        return self.statuses[surface][condition]
