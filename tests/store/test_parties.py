"""Who stands behind keys: what is said of one holds for all keys that have it, at once and on all workers."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx2 as httpx
import pytest

from edge.control.parties.rules import FEATURES
from tests.store.conftest import Admin, Start, run, told
from tests.support.gateway import PLAIN
from tests.support.talk import ask, asked, chat, in_contract, request

KINDS = ("accounts", "users", "groups", "workspaces")
OFF = {"account": ("suspend", "resume", "key_unavailable"), "user": ("ban", "unban", "user_banned"),
       "group": ("disable", "enable", "key_unavailable"), "workspace": ("disable", "enable", "key_unavailable")}


def secret(admin: Admin, name: str, **said: Any) -> str:
    """A new key's."""
    return str(admin.done("POST", "keys", {"name": name, **said})["secret"])


@pytest.mark.parametrize("kind", OFF)
def test_a_state_holds_for_all_keys_at_once(admin: Admin, kind: str) -> None:
    """No request of the keys behind which somebody stands passes on any worker once that one is said to be off, kept
    connections included; and all pass once it is on again."""
    off, on, condition = OFF[kind]
    admin.done("POST", f"{kind}s", {"name": "late"})
    made = [secret(admin, f"late.{kind}.{number}", **{kind: "late"}) for number in range(3)]
    other = secret(admin, f"another.{kind}")
    for _ in range(3):
        with ExitStack() as stack:
            talks = [(stack.enter_context(admin.talk()), each) for each in made * 4]
            for talk, each in talks:
                assert talk.send(chat(key=each)).answer().status == 200
            admin.done("POST", f"{kind}s/late/{off}")
            for talk, each in talks:
                in_contract(talk.send(chat(key=each)).answer(), condition)
            admin.use(other)
            admin.done("POST", f"{kind}s/late/{on}")
            for talk, each in talks:
                assert talk.send(chat(key=each)).answer().status == 200


def test_limits_of_an_account_and_a_group(admin: Admin) -> None:
    """Keys of an account, or of a group, share its limits, each named by X-RateLimit where it binds, and its change is
    in force at once."""
    for kind, condition in (("account", "account_rate_limited"), ("group", "group_rate_limited")):
        admin.done("POST", f"{kind}s", {"name": "narrow", "rate_limit": {"requests_per_minute": 2}})
        made = [secret(admin, f"narrow.{kind}.{number}", rate_limit={"requests_per_minute": 100}, **{kind: "narrow"})
                for number in range(3)]
        for left, each in zip((1, 0), made, strict=False):
            answer = admin.use(each)
            assert (answer.header("x-ratelimit-limit"), answer.header("x-ratelimit-remaining")) == ("2", str(left))
        answer = admin.use(made[2], condition)
        assert answer.header("x-ratelimit-limit") == "2" and 1 <= int(answer.header("retry-after") or 0) <= 31
        admin.done("PATCH", f"{kind}s/narrow", {"rate_limit": {"requests_per_minute": 3}})
        assert admin.use(made[2]).header("x-ratelimit-limit") == "3"
        (limit,) = admin.limits(f"{kind}:narrow")
        assert (limit["kind"], limit["limit"], limit["left"]) == ("requests", 3, 0)
        admin.done("PATCH", f"{kind}s/narrow", {"rate_limit": None})
        for each in made * 2:
            admin.use(each)


def test_requests_at_once_of_an_account(admin: Admin) -> None:
    """Keys of an account, or of a group, share the places that it has for requests at once."""
    for kind in ("account", "group"):
        admin.done("POST", f"{kind}s", {"name": "single", "rate_limit": {"concurrent_requests": 1}})
        first, second = (secret(admin, f"single.{kind}.{number}", **{kind: "single"}) for number in range(2))
        with admin.talk() as talk:
            talk.send(chat(key=first, stream=True, fault="stall=1"))
            assert talk.socket.recv(1)
            admin.use(second, f"{kind}_concurrency_limited")
        admin.edge.wait(lambda key=second: ask(admin.edge.port, chat(key=key)).status == 200)


def test_tokens_of_an_account_are_settled(admin: Admin) -> None:
    """Tokens of an account are reserved when a request of any of its keys comes, and settled by what it used."""
    admin.done("POST", "accounts", {"name": "tokens", "rate_limit": {"tokens_per_minute": 1000}})
    made = [secret(admin, f"tokens.{number}", account="tokens") for number in range(2)]
    used = 0
    for each in made:
        admin.edge.wait(lambda: admin.edge.metric("edge_requests_in_flight") == 0)     # the one before is settled
        answer = ask(admin.edge.port, request(asked(max_tokens=900), key=each))
        used += answer.json["usage"]["total_tokens"]
    assert 0 < used < 500
    left = admin.limits("account:tokens")[0]["left"]
    assert 1000 - used <= left <= 1000 - used + 100


def test_models_and_providers_of_a_group(admin: Admin) -> None:
    """A key may use what both it and its group may: models by name, and providers that serve them."""
    admin.done("POST", "groups", {"name": "small", "models": ["gpt-4*"]})
    made = secret(admin, "small", group="small", models=["gpt-*"])
    admin.use(made, model="gpt-4o")
    answer = admin.use(made, "group_denied", model="gpt-5")
    assert b"gpt-4*" in answer.body
    admin.done("PATCH", "groups/small", {"models": None, "denied_models": ["gpt-4o"]})
    admin.use(made, "model_denied", model="o3")
    admin.use(made, "group_denied", model="gpt-4o")
    admin.use(made, model="gpt-5")
    admin.done("PATCH", "groups/small", {"denied_models": None, "providers": ["openai"]})
    admin.use(made, model="gpt-4o")
    admin.done("PATCH", "groups/small", {"providers": ["anthropic"]})
    assert b"anthropic" in admin.use(made, "group_denied", model="gpt-4o").body
    listed = request(method="GET", path="/v1/files", key=made)
    admin.done("PATCH", "keys/small", {"models": None})
    in_contract(ask(admin.edge.port, listed, "GET"), "group_denied")
    admin.wrong("setting_invalid", "PATCH", "groups/small", {"providers": ["nobody"]})


def test_features_of_a_workspace(admin: Admin) -> None:
    """A route that a workspace has switched off is refused to its keys, the others are not; and back."""
    admin.done("POST", "workspaces", {"name": "team", "features": {"embeddings": False}})
    made = secret(admin, "team", workspace="team")
    admin.use(made)
    embed = request({"model": "gpt-4o", "input": "a"}, key=made, path="/v1/embeddings")
    answer = ask(admin.edge.port, embed)
    assert b"embeddings" in in_contract(answer, "feature_disabled").body
    admin.done("PATCH", "workspaces/team", {"features": {"embeddings": True, "chat": False}})
    assert ask(admin.edge.port, embed).status == 200
    admin.use(made, "feature_disabled")
    admin.done("PATCH", "workspaces/team", {"features": dict.fromkeys(FEATURES, False)})
    admin.use(made, "feature_disabled")


def test_the_quota_of_a_workspace(admin: Admin) -> None:
    """Keys of a workspace share its quota of a day, and who comes when it is used up hears when there is some again."""
    admin.done("POST", "workspaces", {"name": "spent", "quota": {"requests": 2}})
    made = [secret(admin, f"spent.{number}", workspace="spent") for number in range(2)]
    for each in made:
        admin.use(each)
    answer = admin.use(made[0], "quota_exceeded")
    assert 43000 < int(answer.header("retry-after") or 0) <= 43200 and answer.header("x-should-retry") == "false"
    admin.done("PATCH", "workspaces/spent", {"quota": {"requests": 3}})
    admin.use(made[1])


def test_a_gateway_of_a_workspace(start: Start) -> None:
    """Where a gateway belongs to a workspace keys of another may not come, and those of none may; the access log says
    whose account it was."""
    admin = start(workers=1, workspace="ours", access_log={"path": "access.log"})
    for name in ("ours", "theirs"):
        admin.done("POST", "workspaces", {"name": name})
    admin.use(secret(admin, "ours", workspace="ours"))
    admin.use(secret(admin, "theirs", workspace="theirs"), "key_wrong_workspace")
    admin.use(secret(admin, "free"))
    admin.done("POST", "accounts", {"name": "payer"})
    admin.use(secret(admin, "paid", account="payer"))
    log = admin.store.with_name("access.log")
    admin.edge.wait(lambda: log.exists() and log.read_text().count("\n") == 4)
    assert [json.loads(line).get("account") for line in log.read_text().splitlines()] == [None, None, None, "payer"]


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
                 {"rate_limit": {"requests_per_minute": -1}}, {"denied_addresses": ["10.0.0.0/33"]},
                 {"features": {"nothing": False}}, {"features": {"chat": 0}}, {"features": []}, {"providers": "openai"},
                 {"providers": [["openai"]]}, {"quota": {"period": "day"}}, {"quota": {"requests": 0}},
                 {"quota": {"requests": True}}, {"quota": {"period": "year", "requests": 1}},
                {"quota": {"period": ["day"], "requests": 1}}, {"quota": {"points": 1}},
                 {"quota": 5}, {"models": [""]}):
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


def test_what_limits_a_key(admin: Admin) -> None:
    """All limits that a key's requests take from are shown together, with what is left of each."""
    limit = {"rate_limit": {"requests_per_minute": 5, "concurrent_requests": 4}}
    admin.done("POST", "accounts", {"name": "bound", **limit})
    admin.done("POST", "groups", {"name": "bound", "rate_limit": {"tokens_per_minute": 5000}})
    admin.done("POST", "workspaces", {"name": "bound", "quota": {"requests": 7}})
    made = admin.done("POST", "keys", {"name": "bound", "account": "bound", "group": "bound", "workspace": "bound",
                                       "rate_limit": {"requests_per_second": 1, "burst_size": 3}})
    admin.use(made["secret"])
    for name in ("bound", made["id"]):
        found = {(each["owner"], each["kind"]): each for each in admin.done("GET", f"keys/{name}/limits")["limits"]}
        assert (found["account:bound", "requests"]["left"], found["workspace:bound", "requests"]["left"]) == (4, 6)
        assert found["account:bound", "concurrent_requests"]["limit"] == 4
        assert 4000 < found["group:bound", "tokens"]["left"] <= 5000
        assert found["key:bound", "requests"]["limit"] == 3 and ("gateway", "requests") in found
        assert 0 < found["account:bound", "requests"]["full_in"] <= 12
    assert "account:bound" in run(admin, "keys", "limits", "bound").output
    admin.wrong("resource_missing", "GET", "keys/nobody/limits")


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
