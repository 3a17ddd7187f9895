"""What an admin may not ask for: a clear answer, and nothing has changed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2 as httpx
import pytest

from tests.store.conftest import Admin, Start
from tests.support.gateway import PLAIN

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "unknown field": ({"modles": []}, "modles"),
    "network": ({"denied_addresses": ["10.0.0.0/33"]}, "denied_addresses[0]"),
    "host bits": ({"allowed_addresses": ["::/0", "10.0.0.1/8"]}, "allowed_addresses[1]"),
    "hours": ({"hours": ["mon 09:00-17:00 Mars/Olympus"]}, "hours[0]"),
    "date": ({"expires": "2027-02-30"}, "expires"),
    "date of no year": ({"expires": "9999-12-31T23:59:59-14:00"}, "expires"),
    "nothing of no field": ({"expire": None}, "expire"),
    "nothing of no limit": ({"rate_limit": {"burst": None}}, "rate_limit.burst"),
    "no list": ({"tags": False}, "tags"),
    "pattern": ({"models": [""]}, "models[0]"),
    "type": ({"models": "gpt-*"}, "models"),
    "nested": ({"models": [["gpt-*"]]}, "models[0]"),
    "scope": ({"scopes": ["chatt"]}, "scopes[0]"),
    "negative": ({"rate_limit": {"requests_per_minute": -1}}, "rate_limit.requests_per_minute"),
    "overflow": ({"rate_limit": {"tokens_per_minute": 10**18}}, "rate_limit.tokens_per_minute"),
    "beyond 64 bits": ({"rate_limit": {"burst_size": 2**64}}, "rate_limit.burst_size"),
    "fraction": ({"rate_limit": {"concurrent_requests": 1.5}}, "rate_limit.concurrent_requests"),
    "slow": ({"rate_limit": {"requests_per_second": 1e-9}}, "rate_limit"),
    "secret": ({"hash": "blake2b:" + "0" * 64}, "hash"),
    "state": ({"state": "active"}, "state"),
    "tags": ({"tags": ["a\nb"]}, "tags"),
    "many tags": ({"tags": [str(number) for number in range(33)]}, "tags"),
    "metadata": ({"metadata": {"a": 1}}, "metadata"),
    "metadata as text": ({"metadata": "a"}, "metadata"),
    "control characters": ({"metadata": {"a": "\0"}}, "metadata"),
    "long": ({"metadata": {"a": "x" * 513}}, "metadata"),
}
NAMES = ("", "a b", "\u0430", "x" * 65, "../etc", "a\n", 7, ["a"], {"a": 1}, True)


@pytest.mark.parametrize(("said", "field"), BAD.values(), ids=BAD)
def test_what_cannot_be_set(admin: Admin, said: dict[str, Any], field: str) -> None:
    """The field that is wrong is named with the way out, for new keys and for others, and nothing is written."""
    if admin.call("GET", "keys/good").status_code == 404:
        admin.done("POST", "keys", {"name": "good"})
    good, entries = admin.done("GET", "keys/good"), admin.done("GET", "audit")
    for method, path, body in (("POST", "keys", {"name": "bad", **said}), ("PATCH", "keys/good", {"tags": [], **said})):
        told = admin.wrong("setting_invalid", method, path, body)
        assert told["problems"][0]["field"] == field, told
        assert told["problems"][0]["way_out"]
    admin.wrong("resource_missing", "GET", "keys/bad")
    assert (admin.done("GET", "keys/good"), admin.done("GET", "audit")) == (good, entries)


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_names(admin: Admin, name: Any) -> None:
    """A name that a key of the file could not have is refused."""
    told = admin.wrong("setting_invalid", "POST", "keys", {"name": name})
    assert told["problems"][0]["field"] == "name"


@pytest.mark.parametrize(("data", "condition"), [
    (b"{", "json_invalid"), (b'{"name":"\xff"}', "json_invalid"), (b'{"name":"\\ud800"}', "json_invalid"),
    (b"[]", "field_type"), (b'"a"', "field_type"), (b"", "field_missing"), (b"{}", "field_missing"),
    (b'{"name":"a","models":' + b"[" * 1000 + b"]" * 1000 + b"}", "setting_invalid"),
    (b'{"name":"a","tags":' + b'{"a":' * 500 + b"1" + b"}" * 501, "setting_invalid"),
    (b'{"name":"a","tags":["' + b"x" * 1_000_000 + b'"]}', "body_too_large")], ids=range(10))
def test_bodies(admin: Admin, data: bytes, condition: str) -> None:
    """A body that is no JSON object, nests without end or is too large is refused in contract."""
    answer = httpx.post(f"{admin.edge.admin}/admin/keys", content=data, **PLAIN)
    assert answer.headers["x-edge-condition"] == condition, answer.text


@pytest.mark.parametrize("said", [{"overlap": -1}, {"overlap": 1e9}, {"overlap": True}, {"overlap": "1"}, {"over": 1}],
                         ids=str)
def test_overlaps(admin: Admin, said: dict[str, Any]) -> None:
    """A rotation's overlap is a time of at most a month."""
    admin.call("POST", "keys", {"name": "overlapping"})
    admin.wrong("setting_invalid", "POST", "keys/overlapping/rotate", said)


@pytest.mark.parametrize("query", ["keys?limit=0", "keys?limit=x", "keys?limit=1001", "audit?before=-1",
                                   "audit?limit=" + "9" * 5000])
def test_queries(admin: Admin, query: str) -> None:
    """A number of a query that is none is refused."""
    admin.wrong("setting_invalid", "GET", query)


def test_one_name_at_the_same_time(admin: Admin) -> None:
    """Of admins who make keys of one name at once one has it, and the others are told."""
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: admin.call("POST", "keys", {"name": "wanted"}).status_code, range(8)))
    assert sorted(answers) == [201] + [409] * 7


def test_without_a_store(start: Start) -> None:
    """Where the configuration has no store the file's keys are shown, and who would make one is told what to set."""
    admin = start(store=..., workers=1)
    assert [key["name"] for key in admin.done("GET", "keys")["keys"]] == ["test"]
    assert "store" in admin.wrong("resource_conflict", "POST", "keys", {"name": "a"})["error"]["message"]
    admin.wrong("resource_conflict", "GET", "audit")


def test_the_audit_names_whose_token_it_was(start: Start) -> None:
    """What is done with a token is noted under its name, and a viewer's makes no key."""
    tokens = [{"name": f"a-{scope}", "token": f"sk-{scope}-0123456789", "scope": scope}
              for scope in ("viewer", "operator")]
    admin = start(workers=1, admin={"port": 0, "tokens": tokens})
    viewer, operator = ({"authorization": f"Bearer {each['token']}"} for each in tokens)
    admin.wrong("scope_missing", "POST", "accounts", {"name": "a"}, **viewer)
    admin.done("POST", "accounts", {"name": "a"}, **operator)
    assert admin.done("GET", "audit", **viewer)["audit"][0]["who"].startswith("a-operator from ")
    admin.wrong("scope_missing", "POST", "reload", **operator)


def test_the_admin_key_guards_keys(start: Start) -> None:
    """Who has not the admin key neither sees nor changes keys."""
    admin = start(workers=1, admin={"port": 0, "key": "env:TEST_KEY"})
    for method, path in (("GET", "keys"), ("POST", "keys"), ("GET", "keys/a"), ("PATCH", "keys/a"),
                         ("DELETE", "keys/a"), ("POST", "keys/a/rotate"), ("POST", "keys/a/revoke"), ("GET", "audit")):
        admin.wrong("key_missing", method, path)
        admin.wrong("key_unknown", method, path, authorization="Bearer sk-guessed")
