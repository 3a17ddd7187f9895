"""Limits of ours that bind, and what the log says of them."""

from __future__ import annotations

from tests.faults.pair import Pair, ask
from tests.support.gateway import Gateway
from tests.support.talk import Talk, chat, in_contract


def told(edge: Gateway) -> list[str]:
    """The limits that the log names."""
    return [line["limit"] for line in edge.log_lines() if line["message"] == "limit reached"]


def test_a_limit_that_binds_is_named_once(pair: Pair) -> None:
    """Connections to a provider, and the queue before it: each is said once, by its name in the configuration."""
    edge = pair.edge(provider={"max_connections": 1}, queue={"queue_size": 1})
    with Talk(edge.port) as taker, Talk(edge.port) as waiter:
        taker.send(chat("lone", fault="latency=1500"))
        pair.first.wait_for(lambda state: state["requests"] == 1)
        waiter.send(chat("lone"))
        edge.wait(lambda: told(edge))
        for _ in range(3):
            with Talk(edge.port) as refused:
                in_contract(refused.send(chat("lone")).answer(), "gateway_overloaded")
        assert waiter.answer().status == taker.answer().status == 200
    assert told(edge) == ["providers.first-openai.max_connections", "queue.queue_size"]


def test_connections_and_rate(pair: Pair) -> None:
    """The same holds for clients' connections and for the gateway's own rate."""
    edge = pair.edge(limits={"address_connections": 2}, rate_limit={"requests_per_second": 0.01, "burst_size": 1})
    statuses = [ask(edge, "lone").status_code for _ in range(3)]
    assert statuses == [200, 429, 429]
    talks = [Talk(edge.port) for _ in range(4)]
    edge.wait(lambda: len(told(edge)) == 2)
    for talk in talks:
        talk.socket.close()
    assert told(edge) == ["rate_limit", "limits.address_connections"]


def test_nobody_limits_connections_unasked(pair: Pair) -> None:
    """By default a provider gets as many requests at once as come: 1,500 streams on one worker, none waits or fails."""
    edge = pair.edge(keys=[{"name": "test", "key": "env:TEST_KEY", "priority": "high"}])    # never shed by a late loop
    talks = [Talk(edge.port).send(chat("lone", stream=True, fault="latency=3000")) for _ in range(1500)]
    try:
        assert {talk.answer(seconds=30).status for talk in talks} == {200}
    finally:
        for talk in talks:
            talk.socket.close()
    assert told(edge) == []
