"""A Redis that is not as the configuration says, and what others do with it: a clear message, and never a hang."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import redis
import trustme

from tests.fleet.rack import Client, body, configuration
from tests.fleet.server import Server
from tests.fleet.test_outage import LIMIT, STALL
from tests.fleet.upstream import Upstream
from tests.fleet.wire import Wire
from tests.support.gateway import PLAIN, Gateway

AWAY = "Redis does not answer"
SECRET = "hunter2-hunter2"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One for all of them, with users of few rights."""
    with Server() as server, server.client() as looked:
        looked.execute_command("ACL", "SETUSER", "blind", "on", f">{SECRET}", "~*", "+@all", "-evalsha", "-eval")
        looked.execute_command("ACL", "SETUSER", "mute", "on", f">{SECRET}", "~*", "+@all", "-info")
        looked.execute_command("ACL", "SETUSER", "other", "on", f">{SECRET}", "~other*", "+@all")
        yield server


class Host:
    """A gateway that is given one `redis:` after the other."""

    def __init__(self, upstream: Upstream, server: Server) -> None:
        self.upstream, self.server = upstream, server
        self.gateway = Gateway(self.configuration())

    def configuration(self, **redis: Any) -> dict[str, Any]:
        """With this `redis:`."""
        return configuration(self.upstream, self.server.url, LIMIT, redis=redis)

    def lines(self, message: str) -> list[dict[str, Any]]:
        """Of the log, that begin so."""
        return [line for line in self.gateway.log_lines() if line["message"].startswith(message)]

    def shown(self) -> dict[str, Any]:
        """What `edge fleet` shows."""
        found: dict[str, Any] = httpx.get(f"{self.gateway.admin}/admin/fleet", **PLAIN).json()
        return found

    def use(self, **redis: Any) -> None:
        """Another `redis:`."""
        assert self.gateway.reload(self.configuration(**redis)).status_code == 200

    def answers(self) -> bool:
        """Whether Redis does."""
        return bool(self.shown()["redis"]["state"] == "answers")

    def met(self, **redis: Any) -> str:
        """Why it is away by this `redis:`; a request has been served meanwhile."""
        self.use(**redis)
        reason = str(self.gateway.wait(lambda: self.shown()["redis"]["reason"]))
        client = Client(self.gateway)
        answers = [client.ask()]
        self.gateway.wait(lambda: answers.append(client.ask()) or "x-edge-degraded" in answers[-1][1])
        assert {status for status, _, _ in answers} <= {200, 429} and max(took for _, _, took in answers) < STALL
        assert self.lines(AWAY)[-1]["reason"] == reason
        assert SECRET not in self.gateway.log()
        return reason


@pytest.fixture(scope="module")
def host(server: Server) -> Iterator[Host]:
    """One for all of them."""
    with Upstream() as upstream, (host := Host(upstream, server)).gateway:
        yield host


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path, ssl.SSLContext]]:
    """The file of an operator's own roots, one of somebody else's, and a server with a certificate of the first."""
    folder = tmp_path_factory.mktemp("roots")
    ours, other = trustme.CA(), trustme.CA()
    for name, each in (("ours.pem", ours), ("other.pem", other)):
        each.cert_pem.write_to_path(str(folder / name))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.issue_cert("127.0.0.1").configure_cert(context)
    yield folder / "ours.pem", folder / "other.pem", context


def test_tls(host: Host, authority: tuple[Path, Path, ssl.SSLContext]) -> None:
    """By rediss:// and the operator's own roots a host shares through a server of TLS, and comes back when it does."""
    roots, _, context = authority
    with Wire(host.server.port, context) as wire:
        host.use(url=wire.url, ca_bundle=str(roots))
        host.gateway.wait(host.answers)
        wire.silence()
        host.gateway.wait(lambda: not host.answers())
        wire.heal()
        host.gateway.wait(host.answers)


@pytest.mark.parametrize(("which", "reason"), [
    ("other", ("we do not trust its certificate", "redis.ca_bundle")),
    ("system", ("we do not trust its certificate", "redis.ca_bundle")),
    ("name", ("we do not trust its certificate", "the name in redis.url")),
    ("plain server", ("speak TLS", "redis.url")),
    ("plain client", ("TLS", "rediss"))])
def test_tls_that_does_not_fit(host: Host, authority: tuple[Path, Path, ssl.SSLContext], which: str,
                               reason: tuple[str, ...]) -> None:
    """Other roots, another name, no TLS where it is asked, TLS where none is: each is said, with the key to mend."""
    ours, other, context = authority
    with Wire(host.server.port, None if which == "plain server" else context) as wire:
        redis = {"url": f"rediss://127.0.0.1:{wire.port}", "ca_bundle": str(other if which == "other" else ours)}
        if which == "system":
            del redis["ca_bundle"]
        if which == "name":
            redis["url"] = f"rediss://localhost:{wire.port}"
        if which == "plain client":
            redis = {"url": f"redis://127.0.0.1:{wire.port}"}
        said = host.met(**redis)
        assert all(each in said for each in reason) and "{" not in said, said


def test_tls_does_not_finish(host: Host) -> None:
    """A server that accepts and never answers the handshake is left in time, and asked again."""
    with Wire(host.server.port) as wire:
        wire.silence()
        assert host.met(url=f"rediss://127.0.0.1:{wire.port}") == (
            "it does not answer within 0.5 s; does it speak TLS, as in redis.url?")
        host.gateway.wait(lambda: wire.accepted > 3)


@pytest.mark.parametrize(("redis", "reason"), [
    ({"username": "blind", "password": SECRET}, "its ACL must allow evalsha, eval, script and info on our keys"),
    ({"username": "mute", "password": SECRET}, "its ACL must allow evalsha, eval, script and info on our keys"),
    ({"username": "other", "password": SECRET}, "its ACL must allow evalsha, eval, script and info on our keys"),
    ({"username": "blind", "password": "wrong"}, "check redis.username and redis.password"),
    ({"password": "wrong"}, "check redis.username and redis.password"),
    ({"url": "redis://127.0.0.1:{port}/99"}, "redis.url names a database that it does not have"),
    ({"url": "redis+sentinel://127.0.0.1:{port}/mymaster"}, "redis.url must name sentinels"),
    ({"url": "redis+cluster://127.0.0.1:{port}"}, "it is no cluster"),
    ({"url": "redis://redis.invalid"}, "check redis.url"),
    ({"url": "redis://127.0.0.1:1"}, "refused")])
def test_what_is_wrong_is_said(host: Host, redis: dict[str, str], reason: str) -> None:
    """Rights, passwords, and servers of another kind: the log says what is wrong and which key of redis mends it."""
    said = host.met(**{name: value.format(port=host.server.port) for name, value in redis.items()})
    assert reason in said, said


@pytest.mark.parametrize(("name", "message"), [
    ("{edge:0}:epoch", "limits cannot be shared"), ("{edge}:circuits", "circuits cannot be shared"),
    ("{edge}:rests", "circuits cannot be shared"), ("{edge}:hosts", "the fleet's hosts cannot be listed")])
def test_a_key_of_ours_is_taken(host: Host, name: str, message: str) -> None:
    """Another program's key in the place of one of ours is named once, stops nothing else, and may go again."""
    host.use()
    host.gateway.wait(host.answers)
    before = len(host.lines(message))
    with host.server.client() as looked:
        looked.delete(name)
        looked.execute_command("SADD", name, "mine")
        try:
            client = Client(host.gateway)
            host.gateway.wait(lambda: client.ask()[0] and host.shown()["redis"]["faults"])
            assert host.answers()
        finally:
            looked.delete(name)
    host.gateway.wait(lambda: client.ask()[0] and not host.shown()["redis"]["faults"])
    [line] = host.lines(message)[before:]
    assert name in line["key"] and "choose another redis.prefix, or remove the key" in line["reason"]


@pytest.mark.parametrize(("outage", "statuses"), [("closed", {503}), ("open", {200}), ("share", {200, 429})])
@pytest.mark.parametrize("name", ["{edge:0}:epoch", "{edge:0}:limit:key:test"])
def test_a_limit_that_cannot_be_shared_has_its_policy(host: Host, name: str, outage: str, statuses: set[int]) -> None:
    """Where another program has a limit's key, or that of all, the limit's own policy decides, and nobody waits."""
    given = host.configuration(grace=0.0, patience=0.1)
    given["keys"][0]["rate_limit"] = {"requests_per_second": 50, "burst_size": 5, "outage": outage}
    with host.server.client() as looked:
        looked.execute_command("EVAL", "redis.call('DEL', KEYS[1]) redis.call('SADD', KEYS[1], 'mine')", 1, name)
        try:
            assert host.gateway.reload(given).status_code == 200
            client = Client(host.gateway)
            host.gateway.wait(lambda: client.ask() and any(each["fault"] for each in host.shown()["limits"]))
            host.gateway.wait(lambda: client.ask()[0] in statuses)      # what was drawn before is spent first
            found = [client.ask() for _ in range(30)]
        finally:
            looked.delete(name)
    assert {status for status, _, _ in found} <= statuses
    assert sum(took > 0.09 for _, _, took in found) <= 3
    host.gateway.wait(lambda: client.ask()[0] in (200, 429) and not any(
        each["fault"] for each in host.shown()["limits"]))


def test_redis_throws_limits_away(host: Host) -> None:
    """A maxmemory-policy that evicts is warned of once, and limits are shared."""
    with host.server.client() as looked:
        looked.config_set("maxmemory-policy", "allkeys-lru")
        looked.config_set("maxmemory", "100mb")
        host.use()
        host.gateway.wait(host.answers)
        before = len(host.lines(AWAY))
        looked.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        host.gateway.wait(lambda: len(host.lines(AWAY)) > before and host.answers())
        looked.config_set("maxmemory", "0")
    assert len(host.lines("Redis may throw limits away (maxmemory-policy allkeys-lru): set noeviction there")) == 1


@pytest.mark.parametrize("name", ["a b", "{x}", "}{%s", "é", "x" * 300])
def test_a_name_of_any_bytes(host: Host, name: str) -> None:
    """Whatever the name of a model holds, its limit is shared."""
    limit = {"requests_per_second": 0.01, "burst_size": 2}
    given = {**host.configuration(), "models": {name: "up/m"}, "model_limits": {name: limit}}
    assert host.gateway.reload(given).status_code == 200
    client = Client(host.gateway)
    [shown] = host.gateway.wait(lambda: client.ask(body(model=name)) and [
        each for each in host.shown()["limits"] if each["limit"] == f"model:{name}"])
    assert not shown["fault"]
    with host.server.client() as looked:
        host.gateway.wait(lambda: looked.exists(f"{{edge:0}}:limit:model:{name}"))
    assert host.answers()


def note(looked: redis.Redis, name: str, **changes: Any) -> None:
    """A host that is not there says this of itself for an hour."""
    own = json.loads(next(iter(looked.hgetall("{edge}:hosts").values())).partition(" ")[2])
    seconds, micros = looked.time()
    looked.hset("{edge}:hosts", name, f"{seconds + 3600}{micros:06} {json.dumps(own | changes)}")


def test_hosts_that_are_not_alike(host: Host) -> None:
    """Another version of edge, or another fleet's limits under the same prefix: said once, with the host."""
    host.use()
    host.gateway.wait(host.answers)
    with host.server.client() as looked:
        note(looked, "aaaa")
        note(looked, "bbbb", version="0.0.1", node="old")
        note(looked, "cccc", limits_of=7, node="theirs")
        looked.hset("{edge}:hosts", "dddd", "9" * 16 + " \xff{not json")
        host.gateway.wait(lambda: host.lines("a host of the fleet runs") and host.lines("a host of the fleet has"), 20)
        calls = host.shown()["redis"]["calls"]
        host.gateway.wait(lambda: host.shown()["redis"]["calls"] > calls + 20)
        names = {each["host"] for each in host.shown()["hosts"]}
        looked.hdel("{edge}:hosts", "aaaa", "bbbb", "cccc", "dddd")
    assert names >= {"aaaa", "bbbb", "cccc", "dddd"}
    [version] = [each for each in host.lines("a host of the fleet runs") if each["host"] == "bbbb"]
    [limits] = [each for each in host.lines("a host of the fleet has") if each["host"] == "cccc"]
    assert (version["node"], version["version"]) == ("old", "0.0.1")
    assert limits["node"] == "theirs" and "want a redis.prefix each" in limits["message"]


def test_ages_grow_while_redis_is_away(host: Host) -> None:
    """How long ago hosts were heard of goes on while nobody can be heard."""
    host.use()
    host.gateway.wait(host.answers)
    host.server.stop()
    try:
        host.gateway.wait(lambda: not host.answers())
        before = age(host)
        host.gateway.wait(lambda: age(host) > before + 0.5)
    finally:
        host.server.go_on()
    host.gateway.wait(lambda: age(host) < before + 0.5)


def age(host: Host) -> float:
    """How long ago it heard of itself."""
    shown = host.shown()
    return float(next(each["age"] for each in shown["hosts"] if each["host"] == shown["host"]))
