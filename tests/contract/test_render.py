"""The compiled renderer against slow and obvious ways to the same bytes."""

from __future__ import annotations

import math
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge._fast import NEVER, SLOTS, Condition, Slot, Template
from edge.contract import compile_surface, meanings
from tests.contract.answers import CONDITIONS, CONTRACTS, SURFACES, answer, read, template, values

HEAD = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
ANY = st.characters(exclude_categories=())         # lone surrogates too
TEXTS = st.one_of(st.none(), st.binary(max_size=80), st.text(ANY, max_size=80), st.integers())
WILD = st.fixed_dictionaries({name: TEXTS for name in SLOTS if name not in ("status", "status_name")})


def shown(value: object, longest: int = 512) -> str:
    """What a value looks like in a message, the slow way."""
    raw = value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
    if len(raw) <= longest:
        return raw.decode("utf-8", "replace")
    cut = next(at for at in range(longest, longest - 4, -1) if raw[at] & 0xc0 != 0x80 or at == longest - 3)
    return raw[:cut].decode("utf-8", "replace") + "..."


def one_slot(name: str, whole: bool = False) -> Template:
    """A template whose body is {"v": value} and whose stream says the same."""
    slot = ~SLOTS[name] if whole else SLOTS[name]
    quote = b"" if whole else b'"'
    pieces = (b'{"v":' + quote, (slot, b"nothing"), quote + b"}")
    return Template("sample", 400, HEAD, pieces, (b"data: ", *pieces), NEVER)


@given(WILD)
@example({name: "\r\nx: y" for name in SLOTS if name not in ("status", "status_name")})
@example({name: b"\xff\"\\\x00\xe2\x80\xa8" for name in SLOTS if name not in ("status", "status_name")})
def test_no_value_breaks_an_answer(wild: dict[str, Any]) -> None:
    """Whatever the values are, every answer is one valid head and one valid JSON body."""
    for name in CONTRACTS:
        found = read(SOME[name].render(values(**wild), b"", False))
        assert found.headers["x-request-id"] == found.headers["request-id"]
        assert len(found.headers) <= 13


SOME = {name: template(name, "anthropic", Condition.provider_error) for name in CONTRACTS}
EVERY = [found for name in CONTRACTS for surface in SURFACES for found in compile_surface(name, surface) if found]


@given(st.sampled_from(EVERY), WILD)
def test_every_template_takes_any_value(sample: Template, wild: dict[str, Any]) -> None:
    """All conditions of all contracts on all surfaces stay valid HTTP and JSON, as answers and as events."""
    read(sample.render(values(**wild), b"", False))
    event = sample.event(values(**wild))
    assert event.startswith(b"event: error\ndata: ") and event.endswith(b"\n\n")
    data = event[19:-2]
    assert len(data.decode().splitlines()) == 1
    orjson.loads(data)


@given(st.one_of(st.binary(max_size=600), st.text(ANY, max_size=300), st.integers()))
@example(b"\xf0\x9f\x98")
@example(b"\xed\xa0\x80\xc0\x80\xf4\x90\x80\x80\xe0\x80")
@example("\u0085\u2028\u2029\x7f\x1f\x0b\x0c")
@example("\ud800")
@example(10**30)
def test_a_value_reads_as_python_decodes_it(value: Any) -> None:
    """A value is what Python makes of it as UTF-8 with replacements, cut at 512 bytes behind a character."""
    body = read(one_slot("path").render(values(path=value), b"", False)).body
    assert body == {"v": shown(value)}
    assert read(one_slot("path", whole=True).render(values(path=value), b"", False)).body == body


@pytest.mark.parametrize("character", ["a", "é", "€", "😀"])
@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize(("slot", "longest"), [("path", 512), ("message", 2048)])
def test_long_values_are_cut_behind_a_character(slot: str, longest: int, before: int, character: str) -> None:
    """A value that is too long loses whole characters and ends with three dots."""
    text = "x" * before + character * longest
    found = read(one_slot(slot).render(values(**{slot: text}), b"", False)).body["v"]
    assert found == shown(text, longest)
    assert text.startswith(found.removesuffix("...")) and longest - 4 < len(found.encode()) - 3 <= longest


def test_the_longest_values_fit() -> None:
    """Values that grow sixfold by escaping fit in every slot at once."""
    for sample in EVERY:
        read(sample.render([b"\x00" * 5000] * Slot.N_SLOTS, b"", True))
        sample.event([b"\x00" * 5000] * Slot.N_SLOTS)


def test_a_missing_value_is_null_or_its_stand_in() -> None:
    """A value that is missing is null where it is all of a JSON value, and its stand-in inside a text."""
    assert read(one_slot("field").render(values(), b"", False)).body == {"v": "nothing"}
    assert read(one_slot("field", whole=True).render(values(), b"", False)).body == {"v": None}


@given(st.one_of(st.none(), st.binary(max_size=200), st.text(ANY, max_size=200), st.integers()))
def test_an_id_cannot_end_a_field(value: Any) -> None:
    """Whatever comes as an id, both fields and the body have the same visible ASCII."""
    found = answer("anthropic", "anthropic", Condition.key_missing, {"request_id": value})
    name = found.headers["x-request-id"]
    assert name == found.headers["request-id"] == found.body["request_id"]
    assert 1 <= len(name) <= 128 and all(0x20 < ord(c) < 0x7f and c not in '"\\' for c in name)


@pytest.mark.parametrize("name", [b"req-0123456789abcdef", "A.b_c:9-Z"])
def test_an_id_stays_as_it_is(name: bytes | str) -> None:
    """An id of the usual characters is repeated without a change."""
    found = answer("openai", "openai", Condition.key_missing, {"request_id": name})
    assert found.headers["x-request-id"] == (name if isinstance(name, str) else name.decode())


@given(st.integers(0, 10**19))
def test_retry_after_is_the_true_time(wait: int) -> None:
    """Retry-After is whole seconds, at least 1, not less than the wait, and the number in the message."""
    found = answer("tokenpak", "openai", Condition.rate_limited, {"retry_after": wait})
    exact = min(max(wait, 1), 365 * 86400 * 1000)
    assert found.headers["retry-after-ms"] == str(exact)
    assert found.headers["retry-after"] == str(math.ceil(exact / 1000))
    assert found.body["error"]["message"] == f"Rate limit exceeded. Retry-After: {found.headers['retry-after']}"
    assert found.headers["x-should-retry"] == ("true" if exact <= 60000 else "false")


@pytest.mark.parametrize("wait", [NEVER, -2, -10**20])
@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda c: c.name)
def test_what_may_be_paid_twice_is_never_asked_for(condition: Condition, wait: int) -> None:
    """Whatever the condition, an answer can say that no retry is wanted, and then there is no Retry-After."""
    found = answer("openai", "openai", condition, {"retry_after": wait}).headers
    assert found["x-should-retry"] == "false"
    assert "retry-after" not in found and "retry-after-ms" not in found


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda c: c.name)
def test_answers_say_whose_fault_it_is_and_whether_to_retry(condition: Condition) -> None:
    """Every answer has both ids, the condition, its blame, and a word on retrying that fits the condition."""
    meaning = meanings()[condition.name]
    for surface in SURFACES:
        found = answer("openai", surface, condition).headers
        assert found["x-request-id"] == found["request-id"] == "req-0123456789abcdef"
        assert (found["x-edge-condition"], found["x-edge-blame"]) == (condition.name, meaning.blame)
        assert found["content-type"] == "application/json"
        assert found["x-should-retry"] == ("false" if meaning.retry == "never" else "true")
        assert ("retry-after" in found) == ("retry-after-ms" in found) == (meaning.retry == "later")


@pytest.mark.parametrize("condition", [c for c in CONDITIONS if meanings()[c.name].retry != "later"],
                         ids=lambda c: c.name)
def test_a_wait_is_told_only_where_waiting_helps(condition: Condition) -> None:
    """Retry-After does not appear in answers that a later attempt does not change."""
    assert "retry-after" not in answer("openai", "openai", condition, {"retry_after": 5000}).headers


@pytest.mark.parametrize(("final", "said"), [(None, "true"), (0, "true"), (False, "true"), (True, "false")])
@pytest.mark.parametrize("condition", [Condition.provider_error, Condition.request_timeout, Condition.provider_auth],
                         ids=str)
def test_a_final_answer_says_not_to_retry(condition: Condition, final: object, said: str) -> None:
    """Where more is known than the condition says, x-should-retry says it; the true wait stays."""
    sample = template("openai", "openai", condition)
    given = values(retry_after=7000)
    plain = read(sample.render(given, b"", False))
    given[Slot.S_FINAL] = final
    found = read(sample.render(given, b"", False))
    if final is None and condition == Condition.provider_auth:
        said = "false"
    assert found.headers == {**plain.headers, "x-should-retry": said}
    assert (found.status, found.body) == (plain.status, plain.body)
    assert found.headers.get("retry-after") == ("7" if meanings()[condition.name].retry == "later" else None)


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_401_names_its_scheme(name: str) -> None:
    """A 401 has WWW-Authenticate and other answers do not."""
    for condition in CONDITIONS:
        found = answer(name, "openai", condition)
        assert found.headers.get("www-authenticate") == ("Bearer" if found.status == 401 else None)


@pytest.mark.parametrize(("given", "status"), [
    (400, 400), (404, 404), (409, 409), (413, 413), (418, 418), (422, 422), (451, 451), (499, 499),
    (None, 502), (200, 502), (399, 502), (500, 502), (-1, 502), (10**20, 502), ("404", 502), (b"404", 502),
])
def test_a_rejection_keeps_the_provider_s_status(given: Any, status: int) -> None:
    """provider_rejected has the provider's own 4xx, and 502 when there is none."""
    found = answer("tokenpak", "openai", Condition.provider_rejected,
                   {"upstream_status": given, "message": "No such file"})
    assert found.status == status and found.body["error"]["message"] == "No such file"


def test_extra_fields_and_close_go_into_the_head() -> None:
    """The caller's field lines are in the head, and connection: close where the connection ends."""
    sample = template("openai", "openai", Condition.rate_limited)
    extra = b"x-ratelimit-limit: 5\r\nx-ratelimit-remaining: 0\r\n"
    kept, closed = (read(sample.render(values(), extra, close)).headers for close in (False, True))
    assert kept["x-ratelimit-limit"] == "5" and kept["x-ratelimit-remaining"] == "0" and "connection" not in kept
    assert closed == {**kept, "connection": "close"}


@pytest.mark.parametrize("bad", [[], [None] * (Slot.N_SLOTS - 1), [None] * (Slot.N_SLOTS + 1), None])
def test_a_list_of_another_length_is_refused(bad: Any) -> None:
    """A list that does not have a value for each slot is an error, not a read beyond its end."""
    for fill in (lambda sample: sample.render(bad, b"", False), lambda sample: sample.event(bad)):
        with pytest.raises(ValueError, match="each slot"):
            fill(EVERY[0])


@pytest.mark.parametrize("pieces", [((Slot.S_FINAL, b""),), ((~Slot.S_FINAL, b""),), ((99, b""),), (1,), ((1,),),
                                    ("text",), (None,), ((1, None),)])
def test_a_template_of_nonsense_is_refused(pieces: Any) -> None:
    """A piece that is neither bytes nor a slot that exists is an error when the template is made."""
    for both in ((pieces, ()), ((), pieces)):
        with pytest.raises((TypeError, ValueError)):
            Template("sample", 400, HEAD, *both, NEVER)


def test_the_slots_are_those_of_the_enum() -> None:
    """Each slot has a name for contracts, in the order of the enum."""
    named = [name for name in SLOTS if name not in ("status", "status_name")]
    members = [member.name for member in Slot if member < Slot.S_FINAL]
    assert ["S_" + name.upper() for name in named] == [name.removesuffix("_MS") for name in members]
    assert [SLOTS[name] for name in named] == list(range(Slot.S_FINAL))
