"""Which limit a bucket is for, looked up when it comes into use: there may be a million of them.

A change of a key costs control what it changes: of limits in use it looks at their marks, and at no others.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from edge.control.state import State
from edge.values import directory
from edge.values.directory import Terms
from edge.values.registry import concurrencies, terms

MOST = 100_000              # that are remembered

Mark = tuple[str, Terms] | int


@dataclass(frozen=True, slots=True)
class Named:
    """A limit: rate and burst, or how many at once. Another mark, another limit, or other terms."""

    name: str
    terms: Terms
    mark: Mark


class Names:
    """Of one version of the configuration, and of the keys as they are."""

    def __init__(self, state: State) -> None:
        self.slab = state.slab
        own: dict[str, Terms] = {name: each for name, each in terms(state.snapshot).items() if each[0]}
        own.update(concurrencies(state.snapshot))
        self.own = {state.registry.bucket(name): (name, each) for name, each in own.items()}
        self.found: dict[int, Named] = {}

    def mark(self, index: int) -> Mark:
        """Of a bucket now; 0: it is for nothing."""
        return self.own.get(index) or directory.mark(self.slab, index)

    def of(self, index: int) -> Named | None:
        """What a bucket is for."""
        if index in self.own:
            return Named(*self.own[index], self.own[index])
        mark, known = directory.mark(self.slab, index), self.found.get(index)
        if known is not None and known.mark == mark:
            return known
        found = directory.marked(self.slab, index, mark) if mark else None
        if found is None:
            return None
        if len(self.found) >= MOST:
            self.found.clear()
        self.found[index] = Named(found.name, found.terms, mark)
        return self.found[index]

    @property
    def said(self) -> int:
        """Another number, in all likelihood, on a host that has other limits."""
        return zlib.crc32(repr((sorted(self.own.values()), directory.all_said(self.slab))).encode())
