"""What is read once: by who needs it first, or by another process, which hands it over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Held(Generic[Value]):
    """Decorates a function that reads: calls give what it has read, or what was handed over before."""

    def __init__(self, read: Callable[[], Value]) -> None:
        self._read = read
        self._value: Value | None = None

    def __call__(self) -> Value:
        """The value."""
        if self._value is None:
            self._value = self._read()
        return self._value

    def hold(self, value: Value) -> None:
        """Let this be the value: nothing is read."""
        self._value = value
