"""Models over the admin API, beside what tests/gateway/test_catalogue.py tries at a running gateway."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from edge._fast import Switches
from edge.control.models import MOST
from edge.values.snapshot import Traits
from tests.control.running import Running, make_snapshot
from tests.control.test_api import KEYED, in_contract

Start = Callable[..., Running]


def test_as_many_as_there_is_room_for(start: Start) -> None:
    """As many models can be switched as the memory has room for; one more is refused, and one can be taken back."""
    running = start()
    switches = Switches(running.slab)
    switches.speak(switches.spoken._replace(models={f"claude-{number}": False for number in range(MOST)}))
    more = running.ask("/admin/models", "POST", orjson.dumps({"model": "gpt-5", "enabled": False}))
    in_contract(more, 409, "resource_conflict")
    back = running.ask("/admin/models", "POST", orjson.dumps({"model": "claude-7", "enabled": True}))
    assert (back.status, back.json["by"]) == (200, "file")
    assert running.ask("/admin/models", "POST", orjson.dumps({"model": "gpt-5", "enabled": False})).status == 200
    assert len(switches.spoken.models) == MOST


def test_another_version_of_the_file(start: Start) -> None:
    """What an operator said stays with another version, and who has said nothing is as that one has it."""
    running = start()
    running.ask("/admin/models", "POST", orjson.dumps({"model": "gpt-5", "enabled": False}))
    snapshot = make_snapshot(version=2, catalogue=(Traits("gpt-5", ("chat",)), Traits("claude-*", enabled=False)))
    running.registry.plan(snapshot)
    running.take_over(snapshot)
    found = {each["model"]: each for each in running.ask("/admin/models").json["models"]}
    assert found["gpt-5"] == {"model": "gpt-5", "enabled": False, "by": "admin", "capabilities": ["chat"],
                              "targets": ["first/gpt-5"]}
    assert (found["claude-*"]["enabled"], found["claude-*"]["by"]) == (False, "file")


def test_the_admin_key_is_asked_for(start: Start) -> None:
    """Neither models nor maintenance are shown or switched without the admin key, where there is one."""
    running = start(**KEYED)
    for path, method, body in (("models", "GET", None), ("models", "POST", b"{}"), ("maintenance", "GET", None),
                               ("maintenance", "PUT", b"{}"), ("maintenance", "DELETE", None)):
        in_contract(running.ask(f"/admin/{path}", method, body), 401, "key_missing")
