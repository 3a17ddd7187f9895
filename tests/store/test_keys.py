"""Keys that an admin makes: what they may do, at once and on all workers, and what becomes of them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from tests.store.conftest import Admin, Start
from tests.support.gateway import KEY
from tests.support.talk import chat, in_contract

HOURS = "sun 00:00-00:01"


def secret(admin: Admin, name: str, **said: Any) -> str:
    """A new key's."""
    return str(admin.done("POST", "keys", {"name": name, **said})["secret"])


def test_a_key_works_with_the_answer(admin: Admin) -> None:
    """A key that was made is good with the answer that shows its secret, which is shown that once."""
    made = admin.done("POST", "keys", {"name": "made", "tags": ["b", "a"], "metadata": {"team": "s\u00fcche"}})
    admin.use(made["secret"])
    shown = admin.done("GET", f"keys/{made['id']}")
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert shown == admin.done("GET", "keys/made") and shown["tags"] == ["b", "a"]
    begin, end = shown["masked"].split("...")
    assert made["secret"].startswith(begin) and made["secret"].endswith(end)
    assert made["secret"] not in str(admin.done("GET", "audit")) + str(admin.done("GET", "config")) + admin.edge.log()
    assert "made" in str(admin.rows("SELECT * FROM keys"))
    assert made["secret"] not in str([admin.rows(f"SELECT * FROM {table}") for table in ("keys", "audit")])


@pytest.mark.parametrize(("said", "condition"), [
    ({"models": ["claude-*"]}, "model_denied"), ({"denied_models": ["gpt-*"]}, "model_denied"),
    ({"allowed_addresses": ["192.0.2.0/24"]}, "ip_not_allowed"), ({"denied_addresses": ["127.0.0.1"]}, "ip_denied"),
    ({"scopes": ["models"]}, "scope_missing"), ({"expires": "2020-01-01"}, "key_expired")],
    ids=lambda value: "".join(value))
def test_policy_is_that_of_the_file(admin: Admin, said: dict[str, Any], condition: str) -> None:
    """What a key of the file may be told, one of the store may: from its making on, and by a change."""
    name = "policy." + "".join(said)
    made = secret(admin, name, **said)
    admin.use(made, condition)
    admin.done("PATCH", f"keys/{name}", dict.fromkeys(said))
    admin.use(made)
    admin.done("PATCH", f"keys/{name}", said)
    admin.use(made, condition)


def test_limits_change_while_they_are_used(admin: Admin) -> None:
    """A key that has spent its limit goes on with the answer that raises it, and other limits stay as they were."""
    made = secret(admin, "limited", rate_limit={"requests_per_minute": 1, "concurrent_requests": 5})
    admin.use(made)
    admin.use(made, "rate_limited")
    said = admin.done("PATCH", "keys/limited", {"rate_limit": {"requests_per_minute": None}})
    assert said["rate_limit"] == {"concurrent_requests": 5}
    for _ in range(3):
        admin.use(made)
    assert "rate_limit" not in admin.done("PATCH", "keys/limited", {"rate_limit": {"concurrent_requests": None}})


@pytest.mark.parametrize(("word", "condition", "back"), [
    ("freeze", "key_frozen", "unfreeze"), ("disable", "key_disabled", "enable"), ("revoke", "key_revoked", None)])
def test_state_is_in_force_with_the_answer(admin: Admin, word: str, condition: str, back: str | None) -> None:
    """No request passes on any worker once it is said that a key is refused, not even on connections kept alive."""
    made = secret(admin, f"state.{word}")
    with ExitStack() as stack:
        talks = [stack.enter_context(admin.talk()) for _ in range(16)]
        for talk in talks:
            assert talk.send(chat(key=made)).answer().status == 200
        admin.done("POST", f"keys/state.{word}/{word}")
        for talk in talks:
            in_contract(talk.send(chat(key=made)).answer(), condition)
        assert admin.done("POST", f"keys/state.{word}/{word}")["version"] == 2      # again: nothing to do
        if back is None:
            for other in ("unfreeze", "enable", "freeze", "rotate"):
                admin.wrong("resource_conflict", "POST", f"keys/state.{word}/{other}")
        else:
            admin.done("POST", f"keys/state.{word}/{back}")
            admin.use(made)


def test_rotation_overlaps(admin: Admin) -> None:
    """Both secrets work during the overlap, in which there is no second rotation; then the former one has expired."""
    former = secret(admin, "rotated", rate_limit={"requests_per_minute": 1000})
    said = admin.done("POST", "keys/rotated/rotate", {"overlap": 2})
    admin.use(former)
    admin.use(said["secret"])
    again = admin.wrong("key_rotation_pending", "POST", "keys/rotated/rotate")
    assert again["pending_until"] == said["pending_until"]
    admin.edge.wait(lambda: admin.done("GET", "keys/rotated")["pending_until"] is None)
    admin.edge.wait(lambda: in_contract_or_none(admin, former))
    admin.use(said["secret"])
    newest = admin.done("POST", "keys/rotated/rotate", {"overlap": 0})
    assert newest["pending_until"] is None
    admin.use(newest["secret"])
    admin.use(said["secret"], "key_unknown")


def in_contract_or_none(admin: Admin, former: str) -> bool:
    """Whether a secret has expired. A second has a beginning and an end."""
    from tests.support.talk import ask

    answer = ask(admin.edge.port, chat(key=former))
    return answer.status == 401 and in_contract(answer, "key_expired") is not None


def test_secrets_of_a_key_share_its_limits(admin: Admin) -> None:
    """A rotation gives a key no second allowance."""
    former = secret(admin, "shared", rate_limit={"requests_per_minute": 2})
    newer = admin.done("POST", "keys/shared/rotate")["secret"]
    admin.use(former)
    admin.use(newer)
    admin.use(newer, "rate_limited")
    admin.use(former, "rate_limited")


def test_a_deleted_key_is_unknown(admin: Admin) -> None:
    """A key that was deleted is as if it had never been, for clients and for admins, and its name is free."""
    made = secret(admin, "deleted")
    admin.done("DELETE", "keys/deleted")
    admin.use(made, "key_unknown")
    admin.wrong("resource_missing", "GET", "keys/deleted")
    admin.wrong("resource_missing", "DELETE", "keys/deleted")
    secret(admin, "deleted")


def test_keys_of_the_file_are_not_for_admins(admin: Admin) -> None:
    """A key of the file is shown among the others, and an admin who wants to change it is told where it stands."""
    shown = admin.done("GET", "keys/test")
    assert shown["source"] == "file" and shown in admin.done("GET", "keys")["keys"]
    for method, path in (("PATCH", "keys/test"), ("DELETE", "keys/test"), ("POST", "keys/test/revoke"),
                         ("POST", "keys/test/rotate")):
        assert "file" in admin.wrong("resource_conflict", method, path)["error"]["message"]
    admin.wrong("resource_conflict", "POST", "keys", {"name": "test"})
    admin.use(KEY)


def test_pages(start: Start) -> None:
    """Keys come page by page, each of them once."""
    admin = start()
    names = {f"page-{number}" for number in range(5)}
    for name in names:
        secret(admin, name)
    found, after = list[str](), ""
    while after is not None:
        page = admin.done("GET", f"keys?limit=2&after={after}")
        found, after = found + [key["name"] for key in page["keys"]], page["next"]
    assert sorted(found) == sorted([*names, "test"])


def test_two_admins(admin: Admin) -> None:
    """Of two who change what they have read the second is told; where neither says If-Match both have their way."""
    secret(admin, "two")
    tag = admin.call("GET", "keys/two").headers["etag"]
    admin.done("PATCH", "keys/two", {"models": ["gpt-*"]}, if_match=tag)
    assert admin.call("PATCH", "keys/two", {"models": []}, if_match=tag).status_code == 412
    for method, path in (("POST", "keys/two/freeze"), ("POST", "keys/two/rotate"), ("DELETE", "keys/two")):
        assert admin.wrong("settings_conflict", method, path, if_match=f'W/"9", {tag}')["version"] == 2
    assert admin.done("PATCH", "keys/two", {"tags": ["x"]}, if_match="*")["models"] == ["gpt-*"]


def test_the_audit_tells_who_did_what(start: Start) -> None:
    """Every change has its entry: who, what, by which request, before and after; what was refused has none."""
    admin = start()
    made = admin.done("POST", "keys", {"name": "told"})
    changed = admin.call("PATCH", "keys/told", {"models": ["gpt-*"]})
    admin.wrong("setting_invalid", "PATCH", "keys/told", {"models": 1})
    admin.done("PATCH", "keys/told", {"models": ["gpt-*"]})
    admin.done("DELETE", "keys/told")
    gone, update, create = admin.done("GET", "audit")["audit"]
    del made["secret"]
    assert (create["action"], create["before"], create["after"]) == ("create", None, made)
    assert (update["action"], update["before"], update["after"]) == ("update", made, changed.json())
    assert (gone["action"], gone["before"], gone["after"]) == ("delete", changed.json(), None)
    assert update["request_id"] == changed.headers["x-request-id"] and "127.0.0.1" in update["who"]
    assert admin.done("GET", f"audit?key={made['id']}&before={update['number']}")["audit"] == [create]


def test_tokenfactorys_words(start: Start) -> None:
    """In Token Factory's contract the management of keys answers with {code, error}, and both conflicts are 409."""
    admin = start(contract="tokenfactory", workers=1)
    made = admin.done("POST", "keys", {"name": "worded"})
    admin.done("POST", "keys/worded/rotate")
    for condition, answer in (
            ("key_rotation_pending", admin.call("POST", "keys/worded/rotate")),
            ("settings_conflict", admin.call("PATCH", "keys/worded", {"tags": []}, if_match='"1"'))):
        said = answer.json()
        assert (answer.status_code, said["code"]) == (409, condition)
        assert isinstance(said["error"], str) and said.keys() <= {"code", "error", "pending_until", "version"}
    assert admin.call("PATCH", f"keys/{made['id']}", {"hours": ["x"]}).status_code == 422
