"""Maintenance in every contract, and the settings that contracts leave to operators."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.gateway.answers import CONTRACTS
from tests.gateway.check import check
from tests.gateway.client import SURFACES, ask, post
from tests.gateway.conftest import key_of
from tests.gateway.operators import in_maintenance
from tests.gateway.test_contracts import OURS, key
from tests.support.gateway import Gateway


@pytest.mark.parametrize("contract", CONTRACTS)
def test_maintenance(serving: Callable[..., Gateway], contract: str) -> None:
    """In a maintenance requests are refused in contract, with the time at which it ends, and the operator's words."""
    gateway = serving(contract=contract)
    with in_maintenance(gateway, {"for": 50, "message": "the database moves"}):
        for surface in SURFACES:
            answer = ask(gateway.port, post(surface))
            check(answer, contract, surface, "maintenance", {"whose": "the database moves"})
            assert 49 <= int(answer.fields["retry-after"]) <= 51
    assert ask(gateway.port, post("openai")).status == 200


@pytest.mark.parametrize("contract", CONTRACTS)
def test_switches(start: Callable[..., Gateway], contract: str) -> None:
    """A revoked key is 401 or 403 as the file says, and errors of /v1/messages lose Anthropic's frame where it says."""
    [variant] = [name for name in CONTRACTS[contract] if name.startswith("key_revoked/")]
    members = {} if contract == "anthropic" else {"anthropic_members": False}
    with start(contract=contract, revoked_key=int(variant[-3:]), **members) as gateway:
        for surface in SURFACES:
            answer = ask(gateway.port, key(f"Bearer {key_of('revoked')}")(surface))
            check(answer, contract, surface if not members else "openai", variant, OURS)
