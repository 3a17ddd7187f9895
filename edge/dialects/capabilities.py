"""What models can be made for, as catalogues and requests name it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

Capability = Literal["chat", "completions", "embeddings", "images", "audio", "video", "moderation", "tools", "vision",
                     "json"]
CAPABILITIES: tuple[Capability, ...] = get_args(Capability)


def bits(names: Iterable[Capability]) -> int:
    """As the data plane has them."""
    return sum(1 << CAPABILITIES.index(name) for name in frozenset(names))


def lacking(names: Iterable[Capability] | None) -> int:
    """Bits of those that a model with these does not have; none, where nothing is said of it."""
    return 0 if names is None else (1 << len(CAPABILITIES)) - 1 & ~bits(names)
