"""Where each value comes from: defaults under the file, the environment over it, flags over all.

A layer writes values at paths into one tree and remembers the place of each, so that an error, a warning and
`edge config show` can name it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge.config.problems import Place
from edge.config.tree import ABSENT, copied, find
from edge.dialects.kinds import BASE_URLS
from edge.strict_yaml import Document, Path
from edge.strict_yaml import Problem as Unread

DEFAULT = Place("default")


class Layers:
    """One tree of values, and the place of every value in it. Those that `unread` is about mean nothing."""

    def __init__(self, source: str, document: Document | None = None, unread: Sequence[Unread] = ()) -> None:
        self.source = source
        self.document = document
        self.unread = unread
        self.data: dict[str, Any] = copied(document.data) or {} if document is not None else {}
        self._places: dict[Path, Place] = {}

    def set(self, path: Path, value: object, place: Place) -> None:
        """Write `value` over what is there. A section that is no mapping is left for the checks to see."""
        node: Any = self.data
        for step in path[:-1]:
            if isinstance(node, dict) and node.get(step) is None:
                node[step] = {}
            node = node[step] if isinstance(node, dict) else None
        if isinstance(node, dict):
            node[path[-1]] = value
            self._places[path] = place

    def place(self, path: Path) -> Place:
        """The place of the value at a path, or of the nearest section around it that somebody wrote."""
        for end in range(len(path), 0, -1):
            if path[:end] in self._places:
                return self._places[path[:end]]
            if self.document is not None and find(self.document.data, path[:end]) is not ABSENT:
                return Place(self.source, *self.document.where(path[:end]))
        return Place(self.source)

    def origin(self, path: Path) -> Place:
        """The place of the value at a path; DEFAULT when nobody wrote one."""
        return DEFAULT if find(self.data, path) is ABSENT else self.place(path)

    def fill_known(self) -> None:
        """Providers named openai or anthropic get their kind and address: they need no more than a key."""
        providers = self.data.get("providers")
        for name, base_url in BASE_URLS.items():
            provider = providers.get(name) if isinstance(providers, dict) else None
            if isinstance(provider, dict) and provider.get("kind", name) == name:
                for key, value in (("kind", name), ("base_url", base_url)):
                    if key not in provider:
                        self.set(("providers", name, key), value, DEFAULT)

    def flags(self, overrides: Mapping[str, object]) -> None:
        """Values of the command line, by dotted key. None is a flag that was not given."""
        for key, value in overrides.items():
            if value is not None:
                self.set(tuple(key.split(".")), value, Place(f"--{key.replace('_', '-')}"))
