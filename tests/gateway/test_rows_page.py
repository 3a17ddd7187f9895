"""docs/rows.md as a whole, and the rows of the admin port."""

from __future__ import annotations

import re
import tempfile
from typing import Any

import pytest

from tests.gateway import rows_page
from tests.gateway.client import ask, post
from tests.gateway.parties import HERE, call, key_of_here, key_with
from tests.gateway.test_rows import MODELS, ROWS, Make, strict, usual


def test_the_page_is_whole(pytestconfig: pytest.Config) -> None:
    """docs/rows.md has every row: those of this table, those that other tests hold, and those not reachable yet."""
    if pytestconfig.getoption("--write-rows"):
        return
    page = rows_page.PAGE.read_text()
    known = {row.id for row in ROWS}
    assert not known & rows_page.NOT_YET.keys() and not known & rows_page.ELSEWHERE.keys()
    assert set(re.findall(r"`(token\w+/[\w-]+|generic/\d+)`", page)) == (
        known | rows_page.NOT_YET.keys() | rows_page.ELSEWHERE.keys()), "make rows"
    assert page == rows_page.page(line for line in page.splitlines() if line.startswith("| `")), "make rows"


@pytest.mark.parametrize("settings", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize(("text", "code", "message"), [
    (b"port: 0\nlisten_addr: a: b\n", "CONFIG_001", "Failed to load config: YAML syntax error at line 2"),
    (None, "CONFIG_002", "Config validation failed: Missing required field 'providers'")],
    ids=["tokenpak/config-syntax", "tokenpak/config-missing"])
def test_rows_of_a_reload(serving: Make, text: bytes | None, code: str, message: str,
                          settings: dict[str, Any]) -> None:
    """A reload of a broken file is answered with the row's code and message, and what runs goes on."""
    gateway = strict(serving, contract="tokenpak", **settings)
    whole = gateway.file.read_bytes()
    gateway.file.write_bytes(whole.replace(b'"providers"', b'"providerz"') if text is None else text)
    answer = gateway.reload()
    gateway.file.write_bytes(whole)
    assert answer.status_code == 500
    assert answer.json()["error"] == {"type": "internal_server_error", "message": message, "code": code}
    assert ask(gateway.port, post("openai")).status == 200


@pytest.mark.parametrize("settings", MODELS.values(), ids=MODELS)
def test_rows_of_the_cache(start: Make, settings: dict[str, Any]) -> None:
    """Who puts an answer into the cache where there is one is told so, until the cache is cleared; who puts one into a
    cache for which its disk (a small one in memory) has no room is told that, and requests go on."""
    told = {"key": "test", "request": {"model": "sim-1", "messages": []}, "answer": {"object": "chat.completion"}}
    with start(contract="tokenpak", cache_max_size="1MB", **settings) as gateway:
        assert call(gateway, "PUT", "cache", told).status_code == 201
        refused = call(gateway, "PUT", "cache", told)
        assert refused.status_code == 409 and refused.json()["error"]["type"] == "conflict"
        assert call(gateway, "DELETE", "cache").status_code == 200
        assert call(gateway, "PUT", "cache", told).status_code == 201
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, start(
            contract="tokenpak", cache_max_size="1TB", cache_dir=folder, **settings) as gateway:
        refused = call(gateway, "PUT", "cache", told)
        assert refused.status_code == 500
        assert refused.json()["error"] == {"type": "internal_server_error", "message": "No space left on device",
                                           "code": "RESOURCE_002"}
        assert "No space left" in gateway.log() and not call(gateway, "GET", "cache").json()["on"]
        assert ask(gateway.port, post("openai", headers={"x-edge-cache": "use"})).status == 200


@pytest.mark.parametrize("settings", MODELS.values(), ids=MODELS)
def test_rows_of_admins(serving: Make, settings: dict[str, Any]) -> None:
    """Who changes settings of a workspace that somebody else has just changed, or rotates a key that is being rotated,
    is told so with 409 and a code.
    """
    gateway = usual(serving, contract="tokenfactory", **settings)
    key_of_here(gateway)
    key_with(gateway, name="rotated")
    tag = call(gateway, "GET", f"workspaces/{HERE}").headers["etag"]
    off = {"features": {"embeddings": False}}
    assert call(gateway, "PATCH", f"workspaces/{HERE}", off, **{"if-match": tag}).status_code == 200
    assert call(gateway, "POST", "keys/rotated/rotate").status_code == 200
    for answer, code in (
            (call(gateway, "PATCH", f"workspaces/{HERE}", off, **{"if-match": tag}), "settings_conflict"),
            (call(gateway, "POST", "keys/rotated/rotate"), "key_rotation_pending")):
        assert (answer.status_code, answer.json()["code"], answer.headers["x-should-retry"]) == (409, code, "false")
        assert isinstance(answer.json()["error"], str)
    assert call(gateway, "GET", f"workspaces/{HERE}").json()["features"] == off["features"]
