"""What is in force, and what is forgotten when that changes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge._fast import Cache, Healths, Slab
from edge.values.directory import FILE, PARTIES, STORE, Directory, source_of
from edge.values.registry import Fresh, Registry, apply
from edge.values.snapshot import Snapshot


@dataclass(slots=True)
class Force:
    """What is in force: who is forked now begins with it."""

    slab: Slab
    snapshot: Snapshot                  # without its keys, which are in the directory
    registry: Registry
    cache: Cache | OSError | None = None        # of answers; an error: it cannot be had

    digests: frozenset[bytes] = frozenset()     # of the file's keys

    def take(self, snapshot: Snapshot, registry: Registry, fresh: Fresh) -> None:
        """Another version is in force, and keys that it has no more still are."""
        apply(self.slab, registry, snapshot, fresh)
        self.snapshot, self.registry = replace(snapshot, keys=(), parties=()), registry
        self.digests = frozenset(key.digest for key in snapshot.keys if source_of(key) == FILE)

    def fill(self, snapshot: Snapshot) -> None:
        """A new memory gets the store's keys, so that none is unknown before control is there, which writes them."""
        if len(Directory(self.slab, STORE, writes=False).rows):
            return
        parties, keys = Directory(self.slab, PARTIES), Directory(self.slab, STORE)
        for party in snapshot.parties:              # before the keys behind which they stand
            parties.put(party)
        for key in snapshot.keys:
            if source_of(key) == STORE:
                keys.put(key)

    def revoke(self) -> None:
        """Now they are not.

        Where the secret is another one, all keys have other digests: then when nobody looks by those before any more.
        """
        Directory(self.slab, FILE).keep(self.digests)


def forgive(force: Force, before: Snapshot) -> None:
    """What was learnt of keys that a provider has no more, or under rules that are off now, is forgotten.

    When all workers have the new version: until then they may still learn it.
    """
    snapshot, healths = force.snapshot, Healths(force.slab)
    keys = {provider.name: provider.keys for provider in before.providers}
    others = {provider.name for provider in snapshot.providers if provider.keys != keys.get(provider.name)}
    for (provider, _), index in force.registry.targets.items():
        if provider in others:
            healths.forgive(index)
        if not snapshot.breaker.enabled:
            healths.heal(index)


def forget(force: Force) -> None:
    """The same, where nobody knows what was in force before."""
    forgive(force, replace(force.snapshot, providers=()))
