"""What is in force, and what is forgotten when that changes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from edge._fast import Cache, Healths, Slab
from edge.process.apart import apart
from edge.values.directory import FILE, STORE, Directory, DirectoryFull, Mark
from edge.values.registry import Fresh, Registry, apply
from edge.values.snapshot import Snapshot


@dataclass(slots=True)
class Force:
    """What is in force: who is forked now begins with it."""

    slab: Slab
    snapshot: Snapshot                  # without its keys, which are in the directory
    registry: Registry
    cache: Cache | OSError | None = None        # of answers; an error: it cannot be had
    answers: int = -1                           # the descriptor of its file; -1: it has none
    digests: frozenset[bytes] = frozenset()     # of the file's keys
    stored: Mark | None = None          # what admins had done when the store was read; None: it was not

    def take(self, snapshot: Snapshot, registry: Registry, fresh: Fresh) -> None:
        """Another version is in force, and keys that it has no more still are."""
        apply(self.slab, registry, snapshot, fresh)
        self.snapshot, self.registry = replace(snapshot, keys=()), registry
        self.digests = frozenset(key.digest for key in snapshot.keys)

    def fill(self) -> None:
        """A new memory gets the store's keys, so that none is unknown before control is there, which writes them.

        In a process of its own: what reads them is large. ConfigError; OSError, Ended: it came to nothing.
        """
        if self.snapshot.store is not None and not len(Directory(self.slab, STORE, writes=False).rows):
            self.stored = apart(partial(filled, self.snapshot, self.slab))

    def revoke(self) -> None:
        """Now they are not.

        Where the secret is another one, all keys have other digests: then when nobody looks by those before any more.
        """
        Directory(self.slab, FILE).keep(self.digests)


def filled(snapshot: Snapshot, slab: Slab) -> Mark:
    """See `Force.fill`."""
    from edge.config import INVALID, ConfigError, Place, Problem
    from edge.store import Unavailable, fill

    assert snapshot.store is not None
    try:
        return fill(snapshot.store, slab)
    except (Unavailable, DirectoryFull) as error:
        said = f"{snapshot.store} cannot be used: {error}"
        raise ConfigError([Problem(INVALID, Place(snapshot.source), "store", said, "`edge store check` says more")]
                          ) from None


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
