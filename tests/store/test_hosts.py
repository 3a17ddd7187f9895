"""Hosts that share a store: what is done at one is so at the others within a second, whatever has happened between."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from edge.values.points import MICRO
from tests.store.conftest import Admin, Start
from tests.support.gateway import Gateway, configuration
from tests.support.postgresql import Server
from tests.support.simulator import Simulator
from tests.support.talk import ask, chat

SECOND = 1.0
PRICED: dict[str, Any] = {"workers": 1, "prices": {"*": {"request": MICRO}}}


class Hosts:
    """Two of them, `one` where things are done and `other`."""

    def __init__(self, one: Admin, other: Admin) -> None:
        self.one, self.other = one, other

    def soon(self, condition: Callable[[], bool], seconds: float = SECOND) -> None:
        """It comes to pass in that time; a machine that is busy has a second try."""
        begun = time.monotonic()
        self.other.edge.wait(condition)
        assert time.monotonic() - begun < 3 * seconds

    def says(self, secret: str, condition: str = "ok") -> None:
        """A key's requests are answered so at the other one."""
        self.soon(lambda: (ask(self.other.edge.port, chat(key=secret)).header("x-edge-condition") or "ok") == condition)


@pytest.fixture(scope="module")
def hosts(postgresql: Server, simulator: Simulator) -> Iterator[Hosts]:
    """Two gateways on one PostgreSQL."""
    url = postgresql.database()
    with (Gateway(configuration(simulator.url, store=url, **PRICED)) as one,
          Gateway(configuration(simulator.url, store=url, **PRICED)) as other):
        yield Hosts(Admin(one), Admin(other))


def test_a_key_of_another_host(hosts: Hosts) -> None:
    """A key is made, limited, frozen, rotated, revoked and deleted at all hosts by one's admin."""
    made = hosts.one.done("POST", "keys", {"name": "shared"})["secret"]
    hosts.says(made)
    hosts.one.done("PATCH", "keys/shared", {"models": ["claude-*"]})
    hosts.says(made, "model_denied")
    hosts.one.done("PATCH", "keys/shared", {"models": None})
    hosts.one.done("POST", "keys/shared/freeze")
    hosts.says(made, "key_frozen")
    hosts.other.done("POST", "keys/shared/unfreeze")
    hosts.other.use(made)
    newest = hosts.one.done("POST", "keys/shared/rotate", {"overlap": 0})["secret"]
    hosts.says(newest)
    hosts.says(made, "key_unknown")
    hosts.one.done("DELETE", "keys/shared")
    hosts.says(newest, "key_unknown")
    again = hosts.one.done("POST", "keys", {"name": "shared"})["secret"]
    hosts.says(again)
    hosts.one.done("POST", "keys/shared/revoke")
    hosts.says(again, "key_revoked")


def test_a_party_of_another_host(hosts: Hosts) -> None:
    """Who stands behind keys is suspended, changed and gone at all hosts by one's admin."""
    hosts.one.done("POST", "groups", {"name": "ours"})
    made = hosts.one.done("POST", "keys", {"name": "grouped", "group": "ours"})["secret"]
    hosts.says(made)
    hosts.one.done("POST", "groups/ours/disable")
    hosts.says(made, "key_unavailable")
    hosts.one.done("POST", "groups/ours/enable")
    hosts.says(made)
    hosts.one.done("PATCH", "keys/grouped", {"group": None})
    hosts.one.done("DELETE", "groups/ours")
    hosts.says(made)
    hosts.other.wrong("resource_missing", "GET", "groups/ours")


def balance(admin: Admin, name: str) -> float:
    """Of an account, as a host has it."""
    return float(admin.done("GET", f"accounts/{name}/balance")["balance"])


def test_what_others_have_spent(hosts: Hosts) -> None:
    """A host knows what was credited at another one, and what that has spent; what both spend is in the ledger once."""
    hosts.one.done("POST", "accounts", {"name": "payer"})
    made = hosts.one.done("POST", "keys", {"name": "paid", "account": "payer"})["secret"]
    hosts.says(made, "balance_insufficient")
    hosts.one.done("POST", "accounts/payer/credit", {"points": 10})
    hosts.says(made)
    for _ in range(5):
        hosts.one.use(made)
    for admin in (hosts.one, hosts.other):
        hosts.soon(lambda admin=admin: balance(admin, "payer") == 4)
    for _ in range(4):
        hosts.other.use(made)
    hosts.soon(lambda: balance(hosts.one, "payer") == 0)
    hosts.one.use(made, "balance_insufficient")
    found = hosts.one.rows("SELECT count(*), count(DISTINCT boot), -sum(points) FROM ledger WHERE key = 'paid'")
    assert found == [(10, 2, 10 * MICRO)]


def test_what_a_key_may_spend(hosts: Hosts) -> None:
    """A key that may spend so many points has them in common on all hosts."""
    made = hosts.one.done("POST", "keys", {"name": "bounded", "points": 3, "points_per_day": 100})["secret"]
    hosts.says(made)
    hosts.one.use(made)
    hosts.other.use(made)
    for admin in (hosts.one, hosts.other):
        admin.edge.wait(lambda admin=admin: ask(admin.edge.port, chat(key=made)).status != 200)
        admin.use(made, "key_balance_insufficient")


def test_two_admins_at_once(hosts: Hosts) -> None:
    """Of two admins at two hosts who make one name one has it."""
    for number in range(5):
        name = {"name": f"twice.{number}"}
        answers = [admin.call("POST", "keys", name).status_code for admin in (hosts.one, hosts.other)]
        assert answers == [201, 409]


def test_what_was_done_while_a_host_was_cut_off(postgresql: Server, hosts: Hosts) -> None:
    """A host whose connections were cut knows within a second what was done meanwhile."""
    made = [hosts.one.done("POST", "keys", {"name": f"cut.{number}"})["secret"] for number in range(3)]
    for secret in made:
        hosts.says(secret)
    url = hosts.one.rows("SELECT current_database()")[0][0]
    with postgresql.connect("postgres") as owner:
        owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (url,))
    hosts.one.edge.wait(lambda: hosts.one.call("DELETE", "keys/cut.0").status_code in (200, 404))
    hosts.says(made[0], "key_unknown")
    hosts.says(made[1])


def test_many_changes_at_once(hosts: Hosts) -> None:
    """More changes than are followed one by one are followed, too."""
    store = hosts.one.rows("SELECT max(number) FROM audit")
    hosts.one.rows("INSERT INTO audit (time, who, action, request, key, before) SELECT 0, '', '', '', 'key_x', "
                   "'{\"name\": \"x\"}' FROM generate_series(1, 2000)")
    made = hosts.one.done("POST", "keys", {"name": "behind"})["secret"]
    hosts.says(made)
    assert store


def test_a_rest(start: Start, postgresql: Server) -> None:
    """A gateway that begins, or gets the store by a reload, follows the others from there on."""
    url = postgresql.database()
    first = start(workers=1, store=url)
    late = start(workers=1, store="edge.db")
    config = configuration("http://127.0.0.1:1", store=url)
    assert late.edge.reload(config).status_code == 200
    made = first.done("POST", "keys", {"name": "early"})["secret"]
    late.edge.wait(lambda: late.call("GET", "keys/early").status_code == 200)
    late.edge.wait(lambda: ask(late.edge.port, chat(key=made)).header("x-edge-condition") != "key_unknown")
