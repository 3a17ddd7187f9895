"""What operators do at a running gateway, and what a host is short of: ways to conditions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2 as httpx

from tests.gateway.client import Answer, ask, post
from tests.support.gateway import PLAIN, Gateway

Make = Callable[..., Gateway]
Asked = tuple[Answer, str, dict[str, Any]]


@contextmanager
def in_maintenance(gateway: Gateway, said: dict[str, Any]) -> Iterator[None]:
    """The gateway is, meanwhile."""
    assert httpx.put(f"{gateway.admin}/admin/maintenance", json=said, **PLAIN).json()["on"]
    try:
        yield
    finally:
        assert not httpx.delete(f"{gateway.admin}/admin/maintenance", **PLAIN).json()["on"]


def maintained(start: Make, serving: Make, **settings: Any) -> Asked:
    """A request while an operator keeps the gateway in maintenance."""
    gateway = serving(**settings)
    with in_maintenance(gateway, {"for": 30}):
        return ask(gateway.port, post("openai")), "maintenance", {}


def short_of_memory(start: Make, serving: Make, **settings: Any) -> Asked:
    """A request at a host whose memory is over the threshold."""
    return strained(start, "memory", overload={"memory": 1e-6}, **settings)


def short_of_disk(start: Make, serving: Make, **settings: Any) -> Asked:
    """A request at a host whose disk is over the threshold."""
    return strained(start, "disk", overload={"disk": 1e-9}, access_log={"path": "access.log"}, **settings)


def strained(start: Make, what: str, **settings: Any) -> Asked:
    """A gateway of its own, once it has looked."""
    with start(**settings) as gateway:
        gateway.wait(lambda: ask(gateway.port, post("openai")).status == 503)
        answer = ask(gateway.port, post("openai"))
    assert what in answer.json()["error"]["message"]
    return answer, "gateway_overloaded", {"admitted": False}
