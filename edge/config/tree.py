"""Walking a tree of mappings and lists by path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edge.strict_yaml import Path


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()


def find(tree: Any, path: Path) -> Any:
    """The value at a path, or ABSENT."""
    for step in path:
        known = step in tree if isinstance(tree, dict) else \
            isinstance(tree, list) and isinstance(step, int) and step < len(tree)
        if not known:
            return ABSENT
        tree = tree[step]
    return tree


def present(tree: Any, path: Path) -> Path:
    """The longest part of a path that exists."""
    for end in range(len(path), 0, -1):
        if find(tree, path[:end]) is not ABSENT:
            return path[:end]
    return ()


def copied(tree: Any) -> Any:
    """The same values in mappings and lists of its own; copy.deepcopy, which keeps a memo, takes five times as long."""
    if isinstance(tree, dict):
        return {key: copied(value) for key, value in tree.items()}
    return [copied(value) for value in tree] if isinstance(tree, list) else tree


def leaves(tree: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value that is neither a mapping nor a list, with its path."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves(value, (*path, key))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from leaves(value, (*path, index))
    else:
        yield path, tree
