"""Changes that come together are written together, and each has its own answer; two gateways may share a store."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2 as httpx
import pytest

from tests.store.conftest import Admin, Start
from tests.support.gateway import PLAIN, Gateway
from tests.support.talk import ask, chat

MANY = 24


def all_at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """What each gives."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [each.result() for each in [pool.submit(call) for call in calls]]


def test_each_has_its_own_answer(admin: Admin) -> None:
    """Of many admins at once everybody gets what their own change has come to, good ones are in force, and what is
    refused has changed nothing, nor has it taken others with it."""
    admin.done("POST", "accounts", {"name": "crowd"})
    calls: list[Callable[[], Any]] = []
    for number in range(MANY):
        calls += [lambda number=number: admin.call("POST", "keys", {"name": f"crowd-{number}", "account": "crowd"}),
                  lambda: admin.call("POST", "keys", {"name": "crowd", "account": "crowd"}),
                  lambda number=number: admin.call("PATCH", f"keys/nobody-{number}", {"tags": ["a"]}),
                  lambda number=number: admin.call("POST", "keys", {"name": f"bad-{number}", "account": "nobody"})]
    answers = all_at_once(calls)
    good, same, missing, bad = (answers[kind::4] for kind in range(4))
    assert {each.status_code for each in good} == {201}
    assert Counter(each.status_code for each in same) == {201: 1, 409: MANY - 1}
    assert {each.status_code for each in missing} == {404}
    assert {each.headers["x-edge-condition"] for each in bad} == {"setting_invalid"}
    made = [each.json() for each in good]
    for number, each in enumerate(made):
        assert each["name"] == f"crowd-{number}"
        admin.use(each["secret"])
        assert [entry["request_id"] for entry in admin.done("GET", f"audit?key={each['id']}")["audit"]] == [
            good[number].headers["x-request-id"]]
    names = [each["name"] for each in admin.done("GET", "keys?limit=1000")["keys"]]
    assert names.count("crowd") == 1 and not [name for name in names if name.startswith("bad-")]


def test_one_key_by_many(admin: Admin) -> None:
    """Of many that change one version of a key one is the first, and the others are told so; the key has its version
    from that one alone."""
    made = admin.done("POST", "keys", {"name": "wanted"})
    answers = all_at_once([
        lambda tag=str(number): admin.call("PATCH", "keys/wanted", {"tags": [tag]}, If_Match='"1"')
        for number in range(MANY)])
    assert Counter(each.status_code for each in answers) == {200: 1, 412: MANY - 1}
    (first,) = [each.json() for each in answers if each.status_code == 200]
    assert admin.done("GET", "keys/wanted")["tags"] == first["tags"] and first["version"] == 2
    admin.use(made["secret"])


def test_a_key_comes_and_goes(admin: Admin) -> None:
    """A key that is made, frozen, freed and deleted by many at once is in the end as the store says."""
    secrets = []

    def life(number: int) -> None:
        for _ in range(3):
            answer = admin.call("POST", "keys", {"name": "moth"})
            if answer.status_code == 201:
                secrets.append(answer.json()["secret"])
            admin.call("POST", f"keys/moth/{('freeze', 'unfreeze', 'rotate')[number % 3]}")
            admin.call("DELETE", "keys/moth")
    all_at_once([lambda number=number: life(number) for number in range(8)])
    admin.wrong("resource_missing", "GET", "keys/moth")
    for secret in secrets:
        admin.use(secret, "key_unknown")


@pytest.mark.parametrize("then", ["change", "mistake", "reload"])
def test_two_gateways_of_one_store(start: Start, then: str) -> None:
    """What another gateway's admins did is in force here with the next thing that an admin does, or tries to do, and
    with a reload: keys that are new, changed and gone, and who stands behind them."""
    here, there = start(workers=1), start(workers=1)
    gone, kept = (here.done("POST", "keys", {"name": name})["secret"] for name in ("gone", "kept"))
    config = there.edge.file.read_bytes()
    there.edge.file.write_bytes(config.replace(b'"store": "edge.db"', b'"store": "%b"' % str(here.store).encode()))
    assert there.edge.reload().status_code == 200
    there.use(gone)
    there.done("DELETE", "keys/gone")
    there.done("POST", "groups", {"name": "narrow", "models": ["o3"]})
    there.done("PATCH", "keys/kept", {"group": "narrow"})
    new = there.done("POST", "keys", {"name": "new"})["secret"]
    here.use(kept)
    if then == "reload":
        assert here.edge.reload().status_code == 200
    elif then == "change":
        here.done("POST", "users", {"name": "somebody"})
    else:
        here.wrong("resource_missing", "POST", "users/nobody/ban")
    here.use(new)
    here.use(gone, "key_unknown")
    here.use(kept, "group_denied")


def test_a_control_that_died_between_changes(start: Start) -> None:
    """The next control knows where the directory is, and brings it to where the store is."""
    admin = start(workers=1)
    made = admin.done("POST", "keys", {"name": "early"})["secret"]
    admin.done("POST", "keys/early/freeze")
    _killed(admin.edge)
    admin.done("POST", "keys/early/unfreeze")
    admin.use(made)
    later = admin.done("POST", "keys", {"name": "later"})["secret"]
    _killed(admin.edge)
    assert ask(admin.edge.port, chat(key=later)).status == 200
    assert admin.edge.reload().status_code == 200
    for secret in (made, later):
        admin.use(secret)


def _killed(edge: Gateway) -> None:
    """Control dies, and its successor serves."""
    def serves() -> bool:
        try:
            return httpx.get(f"{edge.admin}/admin/keys", **PLAIN).status_code == 200
        except httpx.TransportError:
            return False
    before = edge.children()[0]
    os.kill(before, signal.SIGKILL)
    edge.wait(lambda: before not in edge.children() and serves())


def test_what_is_switched_is_in_the_audit(admin: Admin) -> None:
    """Maintenance and models that an admin switches are in the audit as they were and are; keys of such names stay."""
    made = [admin.done("POST", "keys", {"name": name})["secret"] for name in ("maintenance", "gpt-9")]
    admin.done("PUT", "maintenance", {"for": 60, "message": "work"})
    for _ in range(2):
        admin.done("DELETE", "maintenance")
    for enabled in (False, False, True):
        admin.done("POST", "models", {"model": "gpt-9", "enabled": enabled})
    on, off, over, begun = admin.done("GET", "audit?limit=4")["audit"]
    assert [(each["action"], each["key"]) for each in (begun, over, off, on)] == [
        ("begin maintenance", "maintenance"), ("end maintenance", "maintenance"), ("switch model", "model gpt-9"),
        ("switch model", "model gpt-9")]
    assert (begun["before"]["on"], begun["after"]["message"], over["after"]["on"]) == (False, "work", False)
    assert (off["before"]["enabled"], off["after"], on["after"]["enabled"]) == (
        True, {"model": "gpt-9", "enabled": False, "by": "admin"}, True)
    assert all("127.0.0.1" in each["who"] and each["request_id"] for each in (on, off, over, begun))
    for secret in made:
        admin.use(secret)

