"""A key that changes is another one for every request that the provider does not have yet."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.gateway import KEY, Gateway, configuration
from tests.support.looks import faults
from tests.support.simulator import Simulator
from tests.support.talk import Canary, Talk, ask, chat, in_contract, request

SECOND = "sk-second-0123456789abcdef"
THIRD = "sk-third-0123456789abcdef0"
FIRST_KEY = {"name": "test", "key": "env:TEST_KEY"}
SECOND_KEY = {"name": "second", "key": "env:SECOND_KEY"}
ENVIRON = {"SECOND_KEY": SECOND, "THIRD_KEY": THIRD, "SECRET_A": "a" * 32, "SECRET_B": "b" * 32}
STATS = {"method": "GET", "path": "/stats"}

# What becomes of a key, and the condition of its requests.
CHANGES = [([], "key_unknown"), ([{**SECOND_KEY, "state": "frozen"}], "key_frozen"),
           ([{**SECOND_KEY, "disabled": True}], "key_disabled"),
           ([{**SECOND_KEY, "expires": "2020-01-01"}], "key_expired"),
           ([{**SECOND_KEY, "denied_addresses": ["127.0.0.0/8"]}], "ip_denied")]


@pytest.mark.parametrize(("keys", "condition"), CHANGES, ids=[condition for _, condition in CHANGES])
def test_who_waits_hears_of_it(simulator: Simulator, keys: list[Any], condition: str) -> None:
    """A request that waits for its provider is refused when its key may not be used any more, and gets there never."""
    base = configuration(simulator.url, workers=1, queue={"timeout": 60}, keys=[FIRST_KEY, SECOND_KEY])
    base["providers"]["openai"]["max_connections"] = 1
    with Gateway(base, environ=ENVIRON) as edge, Talk(edge.port) as busy, Talk(edge.port) as waiting:
        busy.send(chat(fault="hang"))
        edge.wait(lambda: edge.metric("edge_requests_in_flight") == 1)
        waiting.send(chat(key=SECOND))
        edge.wait(lambda: edge.metric("edge_provider_waiting") == 1)
        assert edge.reload({**base, "keys": [FIRST_KEY, *keys]}).status_code == 200
        in_contract(waiting.answer(), condition)
        edge.wait(lambda: edge.metric("edge_provider_waiting") == 0)
        assert len(simulator.requests()) == 1 and faults(edge) == []


@pytest.mark.parametrize(("keys", "condition"), CHANGES[:2], ids=["gone", "frozen"])
def test_whose_body_still_comes(simulator: Simulator, keys: list[Any], condition: str) -> None:
    """A request whose key changes while its body arrives is refused, and nothing of it reaches the provider."""
    base = configuration(simulator.url, workers=1, keys=[FIRST_KEY, SECOND_KEY])
    with Gateway(base, environ=ENVIRON) as edge, Talk(edge.port) as late:
        data = chat(key=SECOND)
        late.send(data[:-5])
        edge.wait(lambda: edge.metric("edge_connections", side="downstream") == 1)
        assert edge.reload({**base, "keys": [FIRST_KEY, *keys]}).status_code == 200
        late.send(data[-5:])
        in_contract(late.answer(), condition)
        assert simulator.requests() == [] and ask(edge.port, chat()).status == 200


def test_another_secret(simulator: Simulator) -> None:
    """A key_secret that changes, and all digests with it, costs no request its answer."""
    base = configuration(simulator.url, workers=2)
    with Gateway({**base, "key_secret": "env:SECRET_A"}, environ=ENVIRON) as edge:
        with Canary(edge.port, 0.001) as one, Canary(edge.port, 0.001) as other:
            for number in range(6):
                secret = f"env:SECRET_{'BA'[number % 2]}"
                assert edge.reload({**base, "key_secret": secret}).status_code == 200
                one.wait(one.served + 2)
                other.wait(other.served + 2)
        assert one.failures == other.failures == []


def test_a_name_keeps_its_limits(simulator: Simulator) -> None:
    """What a key has used of its limits is used when it gets another secret under its name, and not under another."""
    limit = {"rate_limit": {"requests_per_second": 0.001, "burst_size": 3}}
    base = configuration(simulator.url, workers=2, keys=[FIRST_KEY, {**SECOND_KEY, **limit}])
    with Gateway(base, environ=ENVIRON) as edge:
        assert [ask(edge.port, chat(key=SECOND)).status for _ in range(2)] == [200, 200]
        other = {**SECOND_KEY, "key": "env:THIRD_KEY", **limit}
        assert edge.reload({**base, "keys": [FIRST_KEY, other]}).status_code == 200
        assert [ask(edge.port, chat(key=THIRD)).status for _ in range(2)] == [200, 429]
        assert ask(edge.port, chat(key=SECOND)).status == 401
        stats = ask(edge.port, request(key=THIRD, **STATS), "GET").json
        assert stats["key"] == "second" and stats["limit"] == {"limit": 3, "left": 0}
        assert edge.reload({**base, "keys": [FIRST_KEY, {**other, "name": "third"}]}).status_code == 200
        assert [ask(edge.port, chat(key=THIRD)).status for _ in range(4)] == [200, 200, 200, 429]


def test_many_keys_come_and_go(simulator: Simulator) -> None:
    """Of thousands of keys each is good as long as it is in the file."""
    base = configuration(simulator.url, workers=2)
    hashed = [{"name": f"key-{number}", "hash": f"blake2b:{number:064x}"} for number in range(3000)]
    with Gateway({**base, "keys": [*hashed, FIRST_KEY]}, environ=ENVIRON) as edge:
        assert ask(edge.port, chat(key=KEY)).status == 200
        assert edge.reload({**base, "keys": [SECOND_KEY, *hashed[::2], FIRST_KEY]}).status_code == 200
        assert {ask(edge.port, chat(key=key)).status for key in (KEY, SECOND) for _ in range(5)} == {200}
        assert edge.reload({**base, "keys": [*hashed, FIRST_KEY]}).status_code == 200
        assert ask(edge.port, chat(key=SECOND)).status == 401 and ask(edge.port, chat()).status == 200
