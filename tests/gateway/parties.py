"""Who stands behind a key, made by an admin of a gateway that has a store."""

from __future__ import annotations

import itertools
from typing import Any

import httpx2 as httpx

from tests.gateway.client import post
from tests.support.gateway import PLAIN, Gateway

HERE = "here"               # the workspace of a gateway that has one
_NUMBERS = itertools.count()


def call(gateway: Gateway, method: str, path: str, said: Any = None, **headers: str) -> httpx.Response:
    """One request of the admin API."""
    return httpx.request(method, f"{gateway.admin}/admin/{path}", json=said, headers=headers, **PLAIN)


def key_with(gateway: Gateway, **said: Any) -> str:
    """The secret of a new key."""
    answer = call(gateway, "POST", "keys", {"name": f"key-{next(_NUMBERS)}", **said})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["secret"])


def key_of_new(gateway: Gateway, kind: str, action: str | None = None, **said: Any) -> str:
    """The secret of a new key behind which somebody new stands, who has had this done to them."""
    name = f"{kind}-{next(_NUMBERS)}"
    answer = call(gateway, "POST", f"{kind}s", {"name": name, **said})
    assert answer.status_code == 201, answer.text
    if action is not None:
        assert call(gateway, "POST", f"{kind}s/{name}/{action}").status_code == 200
    return key_with(gateway, **{kind: name})


def key_of_here(gateway: Gateway, **said: Any) -> str:
    """The secret of a new key of the gateway's own workspace, which says this and nothing else."""
    call(gateway, "POST", "workspaces", {"name": HERE})
    answer = call(gateway, "PATCH", f"workspaces/{HERE}", {"features": None, "quota": None})
    if said:
        answer = call(gateway, "PATCH", f"workspaces/{HERE}", said)
    assert answer.status_code == 200, answer.text
    return key_with(gateway, workspace=HERE)


def bearer(secret: str) -> dict[str, str]:
    """The field that carries a key."""
    return {"authorization": f"Bearer {secret}"}


def sent(secret: str, surface: str, **body: Any) -> bytes:
    """The surface's main route with this key."""
    return post(surface, headers=bearer(secret), **body)
