"""Who stands behind keys: what is said of one holds for all keys that have it, at once and on all workers."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx2 as httpx
import pytest
from click.testing import CliRunner, Result

from edge.cli import main
from tests.store.conftest import Admin, Start
from tests.support.gateway import PLAIN
from tests.support.talk import chat, in_contract

KINDS = ("accounts",)


def secret(admin: Admin, name: str, **said: Any) -> str:
    """A new key's."""
    return str(admin.done("POST", "keys", {"name": name, **said})["secret"])


def run(admin: Admin, *words: str) -> Result:
    """A command at this gateway."""
    return CliRunner().invoke(main, [*words, "--admin", admin.edge.admin])


def told(admin: Admin, *words: str) -> Any:
    """What it says to programs."""
    result = run(admin, *words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_a_state_holds_for_all_keys_at_once(admin: Admin) -> None:
    """No request of a suspended account's keys passes on any worker once it is said, kept connections included."""
    admin.done("POST", "accounts", {"name": "late-payer"})
    made = [secret(admin, f"late-payer.{number}", account="late-payer") for number in range(3)]
    other = secret(admin, "another")
    for _ in range(3):
        with ExitStack() as stack:
            talks = [(stack.enter_context(admin.talk()), each) for each in made * 4]
            for talk, each in talks:
                assert talk.send(chat(key=each)).answer().status == 200
            admin.done("POST", "accounts/late-payer/suspend")
            for talk, each in talks:
                in_contract(talk.send(chat(key=each)).answer(), "key_unavailable")
            admin.use(other)
            admin.done("POST", "accounts/late-payer/resume")
            for talk, each in talks:
                assert talk.send(chat(key=each)).answer().status == 200


def test_addresses_of_an_account(admin: Admin) -> None:
    """An address that an account denies is denied to its keys, whatever they say themselves."""
    admin.done("POST", "accounts", {"name": "picky", "denied_addresses": ["192.0.2.0/24"]})
    made = secret(admin, "picky", account="picky", allowed_addresses=["127.0.0.0/8"])
    admin.use(made)
    admin.done("PATCH", "accounts/picky", {"denied_addresses": ["127.0.0.1"]})
    admin.use(made, "ip_denied")
    admin.done("PATCH", "keys/picky", {"account": None})
    admin.use(made)


def test_keys_hold_their_party(admin: Admin) -> None:
    """Who stands behind a key must be there, and goes when no key has it any more; its number is no other's."""
    first = admin.done("POST", "accounts", {"name": "held"})
    told_ = admin.wrong("setting_invalid", "POST", "keys", {"name": "held", "account": "nobody"})
    assert told_["problems"][0]["field"] == "account" and "edge accounts create" in told_["problems"][0]["way_out"]
    secret(admin, "held", account="held")
    assert admin.done("GET", "keys/held")["account"] == "held"
    assert "held" in admin.wrong("resource_conflict", "DELETE", "accounts/held")["error"]["message"]
    admin.wrong("setting_invalid", "PATCH", "keys/held", {"account": "nobody"})
    admin.done("DELETE", "keys/held")
    admin.done("DELETE", "accounts/held")
    admin.wrong("resource_missing", "GET", "accounts/held")
    assert admin.done("POST", "accounts", {"name": "held"})["number"] > first["number"]


@pytest.mark.parametrize("kind", KINDS)
def test_two_admins(admin: Admin, kind: str) -> None:
    """Of two who change what they have read the second is told, and of many who make one of a name one has it."""
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: admin.call("POST", kind, {"name": "two"}).status_code, range(8)))
    assert sorted(answers) == [201] + [409] * 7
    tag = admin.call("GET", f"{kind}/two").headers["etag"]
    admin.done("PATCH", f"{kind}/two", {"metadata": {"a": "1"}}, if_match=tag)
    assert admin.wrong("settings_conflict", "PATCH", f"{kind}/two", {"metadata": {}}, if_match=tag)["version"] == 2
    admin.wrong("settings_conflict", "DELETE", f"{kind}/two", if_match=tag)
    assert admin.done("GET", f"{kind}/two")["metadata"] == {"a": "1"}


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_said(admin: Admin, kind: str) -> None:
    """What a party cannot be called, cannot say or cannot take is refused in contract, and nothing is written."""
    entries = admin.done("GET", "audit")
    for name in ("", "a b", "\u0430", "x" * 49, "../etc", 7, ["a"], None):
        admin.wrong("field_missing" if name is None else "setting_invalid", "POST", kind, {"name": name})
    for said in ({"modles": []}, {"state": "active"}, {"number": 1}, {"metadata": {"a": 1}}, {"hours": ["00:00-24:00"]},
                 {"rate_limit": {"requests_per_minute": -1}}, {"denied_addresses": ["10.0.0.0/33"]}):
        told_ = admin.wrong("setting_invalid", "POST", kind, {"name": "bad", **said})
        assert told_["problems"][0]["field"].startswith(next(iter(said))) and told_["problems"][0]["way_out"]
    answer = httpx.post(f"{admin.edge.admin}/admin/{kind}", **PLAIN,
                        content=b'{"name":"a","metadata":{"a":"' + b"x" * 1_000_000 + b'"}}')
    assert answer.headers["x-edge-condition"] == "body_too_large"
    admin.wrong("resource_missing", "GET", f"{kind}/bad")
    assert admin.done("GET", "audit") == entries


def test_they_outlive_a_reload_and_a_start(start: Start) -> None:
    """Who stands behind keys is in force after a reload, and after a start before control has read the store."""
    admin = start()
    admin.done("POST", "accounts", {"name": "kept"})
    made = secret(admin, "kept", account="kept")
    admin.done("POST", "accounts/kept/suspend")
    assert admin.edge.reload().status_code == 200
    admin.use(made, "key_unavailable")
    control = admin.edge.children()[0]
    assert control
    again = start(store=str(admin.store))
    again.use(made, "key_unavailable")
    again.done("POST", "accounts/kept/resume")
    again.use(made)


def test_commands(admin: Admin) -> None:
    """An operator does all of it by commands, and the audit tells who did what."""
    made = told(admin, "accounts", "create", "typed", "--deny-address", "192.0.2.1", "--metadata", "a=b")
    assert (made["denied_addresses"], made["metadata"], made["state"]) == (["192.0.2.1"], {"a": "b"}, "active")
    key = told(admin, "keys", "create", "typed.key", "--account", "typed")
    assert key["account"] == "typed"
    assert "denied_addresses" not in told(admin, "accounts", "set", "typed", "--unset", "denied_addresses")
    assert told(admin, "accounts", "suspend", "typed")["state"] == "suspended"
    admin.use(key["secret"], "key_unavailable")
    assert run(admin, "accounts", "resume", "typed").output == "typed: active\n"
    told(admin, "keys", "set", "typed.key", "--unset", "account")
    assert "typed" in run(admin, "accounts", "list").output and "b" in run(admin, "accounts", "show", "typed").output
    assert "typed" in {each["name"] for each in told(admin, "accounts", "list")}
    assert run(admin, "accounts", "delete", "typed").output == "typed: deleted\n"
    actions = [entry["action"] for entry in told(admin, "audit", "typed")]
    assert actions == [f"{word} account" for word in ("delete", "resume", "suspend", "update", "create")]
    result = run(admin, "accounts", "suspend", "typed")
    assert result.exit_code == 1 and "no account typed" in result.output
