"""What admins say holds for every request that no provider has yet: one that is being sent, and one that waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.store.conftest import Admin, Start
from tests.support.gateway import Gateway, configuration
from tests.support.looks import figures
from tests.support.simulator import Simulator
from tests.support.talk import Answer, Talk, ask, asked, chat, in_contract, request

Call = tuple[Any, ...]
PARTIES = {"accounts": "account", "users": "user", "groups": "group", "workspaces": "workspace"}
# What an admin says meanwhile, what ends the request then, and what takes it back.
CHANGES: dict[str, tuple[Call, str, Call]] = {
    "models": (("PATCH", "keys/K", {"models": ["o3"]}), "model_denied", ("PATCH", "keys/K", {"models": None})),
    "denied models": (("PATCH", "keys/K", {"denied_models": ["GPT-4*"]}), "model_denied",
                      ("PATCH", "keys/K", {"denied_models": None})),
    "scopes": (("PATCH", "keys/K", {"scopes": ["models"]}), "scope_missing", ("PATCH", "keys/K", {"scopes": None})),
    "addresses": (("PATCH", "keys/K", {"allowed_addresses": ["192.0.2.1"]}), "ip_not_allowed",
                  ("PATCH", "keys/K", {"allowed_addresses": None})),
    "end": (("PATCH", "keys/K", {"expires": "2020-01-01"}), "key_expired", ("PATCH", "keys/K", {"expires": None})),
    "freeze": (("POST", "keys/K/freeze"), "key_frozen", ("POST", "keys/K/unfreeze")),
    "another group": (("PATCH", "keys/K", {"group": "narrow"}), "group_denied", ("PATCH", "keys/K", {"group": "K"})),
    "models of its group": (("PATCH", "groups/K", {"models": ["o3"]}), "group_denied",
                            ("PATCH", "groups/K", {"models": None})),
    "providers of its group": (("PATCH", "groups/K", {"providers": ["anthropic"]}), "group_denied",
                               ("PATCH", "groups/K", {"providers": None})),
    "features": (("PATCH", "workspaces/K", {"features": {"chat": False}}), "feature_disabled",
                 ("PATCH", "workspaces/K", {"features": None})),
    "addresses of its account": (("PATCH", "accounts/K", {"denied_addresses": ["127.0.0.0/8"]}), "ip_denied",
                                 ("PATCH", "accounts/K", {"denied_addresses": None})),
    "ban": (("POST", "users/K/ban"), "user_banned", ("POST", "users/K/unban")),
    "model off": (("POST", "models", {"model": "gpt-4o", "enabled": False}), "model_disabled",
                  ("POST", "models", {"model": "gpt-4o", "enabled": True})),
    "pattern off": (("POST", "models", {"model": "gpt-*", "enabled": False}), "model_disabled",
                    ("POST", "models", {"model": "gpt-*", "enabled": True})),
}


@pytest.fixture(scope="module")
def narrow(simulator: Simulator) -> Iterator[tuple[Admin, str]]:
    """A gateway whose provider takes one request at a time, and a key behind which everybody stands."""
    config = configuration(simulator.url, store="edge.db", workers=1, models={"gpt-*": "openai", "o*": "openai"})
    config["providers"]["openai"]["max_connections"] = 1
    with Gateway(config) as edge:
        admin = Admin(edge)
        for kind in PARTIES:
            admin.done("POST", kind, {"name": "K"})
        admin.done("POST", "groups", {"name": "narrow", "models": ["o3"]})
        yield admin, admin.done("POST", "keys", {"name": "K", **dict.fromkeys(PARTIES.values(), "K")})["secret"]


@contextmanager
def waiting(admin: Admin, data: bytes) -> Iterator[Talk]:
    """A request that waits while another one has the provider's only connection."""
    with admin.talk() as first, admin.talk() as talk:
        first.send(chat(stream=True, fault="stall=3"))
        assert first.socket.recv(1)
        talk.send(data)
        admin.edge.wait(lambda: figures(admin.edge)["providers"][0]["waiting"])
        yield talk
        assert figures(admin.edge)["providers"][0]["active"] == 1, "the other one has ended"


@contextmanager
def coming(admin: Admin, data: bytes) -> Iterator[Talk]:
    """A request of which the gateway has the head and is to get the rest."""
    with admin.talk() as talk:
        talk.send(data.partition(b"\r\n\r\n")[0] + b"\r\nexpect: 100-continue\r\n\r\n")
        assert talk.socket.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        yield talk


@pytest.mark.parametrize("change", CHANGES)
def test_who_waits(narrow: tuple[Admin, str], change: str) -> None:
    """A request that waits for its provider is refused at once by what is said meanwhile."""
    admin, secret = narrow
    said, condition, back = CHANGES[change]
    try:
        with waiting(admin, chat(key=secret)) as talk:
            admin.done(*said)
            in_contract(talk.answer(seconds=2), condition)
    finally:
        admin.done(*back)


@pytest.mark.parametrize("change", CHANGES)
def test_who_is_being_read(narrow: tuple[Admin, str], change: str) -> None:
    """So is one whose body comes after it was said, though its head came before."""
    admin, secret = narrow
    said, condition, back = CHANGES[change]
    data = chat(key=secret)
    try:
        with coming(admin, data) as talk:
            admin.done(*said)
            in_contract(talk.send(data.partition(b"\r\n\r\n")[2]).answer(), condition)
    finally:
        admin.done(*back)


def test_who_is_not_meant_waits_on(narrow: tuple[Admin, str]) -> None:
    """What is said of others, or allows the request as well, leaves one that waits where it is."""
    admin, secret = narrow
    with admin.talk() as first, admin.talk() as talk:
        first.send(chat(stream=True, fault="stall=1"))
        assert first.socket.recv(1)
        talk.send(chat(key=secret))
        admin.edge.wait(lambda: figures(admin.edge)["providers"][0]["waiting"])
        admin.done("PATCH", "keys/K", {"models": ["gpt-4*"], "denied_models": ["gpt-5*"]})
        admin.done("PATCH", "groups/K", {"providers": ["openai"]})
        admin.done("POST", "models", {"model": "gpt-5", "enabled": False})
        assert talk.silent(0.3)                 # for three ticks
        first.socket.close()
        assert talk.answer().status == 200
    admin.done("PATCH", "keys/K", {"models": None, "denied_models": None})
    admin.done("PATCH", "groups/K", {"providers": None})
    admin.done("POST", "models", {"model": "gpt-5", "enabled": True})


def test_a_target_is_taken_out_under_who_waits(start: Start, simulator: Simulator) -> None:
    """Who waits for a target that an operator takes out goes to the next one; where there is none it is refused."""
    config = configuration(simulator.url)["providers"]["openai"]
    admin = start(workers=1, retry={"max": 1}, models={"gpt-4o": ["first", "second"], "gpt-5": "first"}, providers={
        "first": {**config, "max_connections": 1}, "second": config})
    secret = admin.done("POST", "keys", {"name": "K"})["secret"]
    with waiting(admin, chat(key=secret)) as talk, admin.talk() as other:
        other.send(chat(key=secret, model="gpt-5"))
        admin.edge.wait(lambda: figures(admin.edge)["providers"][0]["waiting"] == 2)
        for target in ("first/gpt-4o", "first/gpt-5"):
            admin.done("POST", "circuits", {"target": target, "state": "open"})
        answer = talk.answer(seconds=2)
        assert answer.status == 200 and answer.header("x-edge-target") == "second/gpt-4o"
        in_contract(other.answer(seconds=2), "circuit_open")


SPELT = ("gpt-4o", "GPT-4O", " gpt-4o", "gpt-4o\t", "Gpt-4o\n")


def listed(secret: str, *others: Any, model: str = "gpt-5") -> bytes:
    """A request whose provider may take others in the place of its model."""
    return request({**asked(model), "models": list(others)}, key=secret)


@pytest.mark.parametrize("by", ["admin", "file"])
def test_no_way_around_a_switch(start: Start, by: str) -> None:
    """A model that is off is had by no other spelling, no list of stand-ins, no path and no form; others are."""
    admin = start(workers=1, catalogue={"gpt-4o": {"enabled": by == "admin"}})
    secret = admin.done("POST", "keys", {"name": "K"})["secret"]
    if by == "admin":
        admin.done("POST", "models", {"model": "gpt-4o", "enabled": False})
    def off(data: bytes, method: str = "POST") -> Answer:
        return in_contract(ask(admin.edge.port, data, method), "model_disabled")
    for name in SPELT:
        off(request(asked(name), key=secret))
        off(listed(secret, "gpt-5", name))
        off(listed(secret, name, model="o3"))
        off(request({**asked(name), "input": "a"}, path="/v1/responses", key=secret))
        off(request({"model": name, "prompt": "a"}, path="/v1/images/generations", key=secret))
    for name in ("gpt-4o", "GPT-4o", "gpt%2D4o", "gpt-4o%20"):
        off(request({"messages": asked()["messages"]}, path=f"/openai/deployments/{name}/chat/completions", key=secret))
    in_contract(ask(admin.edge.port, request(method="GET", path="/v1/models/gpt-4o", key=secret), "GET"),
                "model_unknown")
    for data in (listed(secret, "gpt-5", "o3"), listed(secret, None, 1, {}), request(asked("gpt-4o-mini"), key=secret)):
        assert ask(admin.edge.port, data).status == 200
