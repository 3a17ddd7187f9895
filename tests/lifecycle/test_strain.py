"""A host that is short of memory or disk refuses requests, in contract and with the name of what is scarce."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.gateway import Gateway, configuration
from tests.support.simulator import Simulator
from tests.support.talk import ask, chat, in_contract

HIGH = "sk-high-0123456789abcdef"
KEYS = [{"name": "test", "key": "env:TEST_KEY"}, {"name": "high", "key": "env:HIGH_KEY", "priority": "high"}]


@pytest.mark.parametrize(("settings", "words"), [
    ({"overload": {"memory": 1e-6}}, "of its limit is in use"),
    ({"overload": {"disk": 1e-9}, "access_log": {"path": "access.log"}}, "disk (")])
def test_what_is_scarce_is_named(simulator: Simulator, settings: dict[str, Any], words: str) -> None:
    """Over the threshold all but keys of high priority get 503 with a wait; with another threshold all pass again."""
    config = configuration(simulator.url, keys=KEYS, **settings)
    with Gateway(config, environ={"HIGH_KEY": HIGH}) as edge:
        edge.wait(lambda: ask(edge.port, chat()).status == 503)
        answer = in_contract(ask(edge.port, chat()), "gateway_overloaded", status=503)
        assert words in answer.json["error"]["message"] and answer.header("retry-after") == "5"
        assert ask(edge.port, chat(key=HIGH)).status == 200
        assert edge.metric("edge_requests_shed_total") > 0
        assert edge.reload({**config, "overload": {"memory": 1, "disk": 0}}).status_code == 200
        edge.wait(lambda: ask(edge.port, chat()).status == 200)
