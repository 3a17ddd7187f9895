"""What a body must hold is what edge/dialects/routes.py says of its route: each row of it, a new one as well."""

from __future__ import annotations

from typing import Any

import pytest

from edge.dialects.routes import ROUTES, FieldRule, Route
from tests.gateway.client import HELLO, ask, request
from tests.support.gateway import Gateway

VALUES: dict[str, Any] = {"string": "text", "number": 1, "boolean": True, "array": [], "object": {}}
ENOUGH = {"model": "sim-1", "messages": HELLO, "input": "hello"}       # of what is required and not just anything


def whole(route: Route) -> dict[str, Any]:
    """A body with all that the route requires."""
    return {rule.name: ENOUGH.get(rule.name, VALUES[rule.types[0]]) for rule in route.fields if rule.required}


def wrong(rule: FieldRule) -> list[tuple[str, Any]]:
    """What the rule refuses, and the condition that it is refused with."""
    found: list[tuple[str, Any]] = [("field_type", value) for kind, value in VALUES.items() if kind not in rule.types]
    if rule.required:
        found.append(("field_missing", None))
    if rule.low is not None:
        found.append(("field_value", rule.low - 1))
    if rule.high is not None:
        found.append(("field_value", rule.high + 1))
    return found


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_fields(gateway: Gateway, route: Route) -> None:
    """A member of another type, beyond its range, or absent where it is required, is refused and named."""
    for rule in route.fields:
        for condition, value in wrong(rule):
            answer = ask(gateway.port, request({**whole(route), rule.name: value}, path=route.path))
            assert answer.fields["x-edge-condition"] == condition, (rule, value)
            assert rule.name in answer.json()["error"]["message"]
