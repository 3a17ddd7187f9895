"""What tests of control share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from edge.process.channel import Kind, Record
from tests.control.running import Running, make_snapshot


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    """Starts a control process for a snapshot (see `make_snapshot`) and waits until it serves."""
    running: list[Running] = []

    def begin(**changes: Any) -> Running:
        running.append(Running(make_snapshot(**changes)))
        assert running[-1].hear() == Record(Kind.SERVING, 1)
        return running[-1]

    yield begin
    for each in running:
        each.close()
