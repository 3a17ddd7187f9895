"""The JSON scanner against orjson and against a slow reader written from RFC 8259."""

from __future__ import annotations

import json
import locale
import math
from collections.abc import Iterator

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge._fast.json.scan import Names, ScanError, is_object, kernels, read_number, scan_members, use_kernel
from tests.fast.slow_json import BAD, CHAT, GOOD, MAX_DEPTH, NAMES, PLACES, agree, folded


@pytest.fixture(params=kernels(), scope="module", autouse=True)
def kernel(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test here runs with every kernel."""
    use_kernel(request.param)
    yield
    use_kernel(kernels()[0])


@pytest.mark.parametrize("value", GOOD, ids=repr)
def test_valid_values_are_accepted_everywhere(value: bytes) -> None:
    """Every kind of valid value is accepted as a member's, skipped, nested, and alone."""
    orjson.loads(value)
    for place in PLACES:
        assert agree(place(value)) is not None
    if not value.startswith(b"{"):
        with pytest.raises(ScanError, match="not an object at byte 1"):
            scan_members(b" " + value + b" ", NAMES)


@pytest.mark.parametrize("value", BAD, ids=lambda value: repr(value[:20]))
def test_invalid_values_are_refused_everywhere(value: bytes) -> None:
    """What RFC 8259 forbids or orjson refuses is refused as a member's value, skipped, nested, and alone."""
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(value)
    for place in PLACES:
        if value != b"{,\"a\":1}":
            assert agree(place(value)) is None
    with pytest.raises(ScanError, match="not JSON"):
        scan_members(value, NAMES)


@pytest.mark.parametrize(("text", "position"), [
    (b"", 0), (b"  ", 2), (b"[1", 2), (b"x", 0), (b"{} x", 3), (b'{"n":1,"n":2}', 7), (b'{"n":tru', 8),
    (b'{"n":trux}', 5), (b'{"x":"\xe4\xbdx"}', 6), (b'{"x":"a\\ud800"}', 7), (b'{"x":1e999}', 5),
    (b'{"x":01}', 6), (b'{"x":-a}', 6), (b'{"\\u006e":1}', 1), (b'{"x":1,}', 7), (b"[]]", 2),
])
def test_the_place_of_the_trouble_is_told(text: bytes, position: int) -> None:
    """`where` is the byte that cannot stand there, or the start of the escape, character, word or number."""
    with pytest.raises(ScanError) as caught:
        scan_members(text, NAMES)
    assert caught.value.position == position


@pytest.mark.parametrize("text", [
    b'{"model":"a","model":"b"}', b'{"model":"a","x":0,"mod\\u0065l":"b"}', b'{"mod\\u0065l":"b"}',
    b'{"Model":1}', b'{"model":1,"MODEL":2}', b'{"\\u004dodel":1}', "{\"me\u017f\u017fages\":1}".encode(),
    b'{"me\\u017fsages":1}', "{\"max_to\u212aens\":1}".encode(), b'{"max_to\\u212Aens":1}', b'{"N":1}', b'{"A/B":1}',
    b'{"\\u00e9t\xc3\xa9":1}', b'{"a\\/b":1}', b'{"model":{},"model":{}}', b'{"model":null,"model":null}',
])
def test_a_wanted_member_has_one_reading(text: bytes) -> None:
    """A wanted member given twice, with escapes or in other letters is refused though orjson takes it."""
    orjson.loads(text)
    assert agree(text) is None


def test_names_are_matched_whole() -> None:
    """A member is found by its exact name at the top level only, whatever looks like it."""
    text = ("{" + ",".join(f'"{name}":0' for name in (
        "mode", "modelx", "", "m", "mo\\u0064e", "\\ud83d\\ude00", "x" * 300, "\\u006f" * 3000))
        + ',"x":{"model":1,"model":2},"model":3,"été":4}').encode()
    assert agree(text) == {"model": ("number", len(text) - 12, len(text) - 11),
                           "été": ("number", len(text) - 2, len(text) - 1)}


def test_many_names_of_one_shape_are_told_apart() -> None:
    """Names that share length and first byte, the longest ones and MAX_NAMES of them are all found."""
    names = (*(f"same{i:02}" for i in range(22)), "y" * 255, "s" + "z" * 37)
    text = orjson.dumps({name: i for i, name in enumerate(reversed(names))})
    found = agree(text, names)
    assert found is not None and len(found) == len(names)
    with pytest.raises(ValueError, match="at most 24"):
        Names((*names, "one more"))
    with pytest.raises(ValueError, match="each once"):
        Names(("a", "a"))
    for name in ("", "x" * 256):
        with pytest.raises(ValueError, match="1 to 255"):
            Names((name,))


@pytest.mark.parametrize(("opener", "closer"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
def test_nesting_ends_at_the_limit(opener: bytes, closer: bytes) -> None:
    """MAX_DEPTH levels of either kind or both are accepted, and one more is told apart from bad."""
    per = len(opener.replace(b'"a":', b""))
    n = (MAX_DEPTH - 2) // per
    assert agree(b'{"n":[' + opener * n + b"1" + closer * n + b"]}") is not None
    assert agree(b'{"n":[' + opener * n + b"[]" + closer * n + b"]}") is None
    text = b'{"n":[' + opener * n + b"{}" + closer * n + b"]}"
    with pytest.raises(ScanError, match="nested too deep") as caught:
        scan_members(text, NAMES)
    assert text[caught.value.position:].startswith(b"{}")
    with pytest.raises(ScanError, match="nested too deep"):
        scan_members(b"[" * 1_000_000, NAMES)


@pytest.mark.parametrize("text", [CHAT, json.dumps(json.loads(CHAT), indent=4).encode()], ids=["chat",
    "pretty"])
def test_a_text_cut_anywhere_is_refused(text: bytes) -> None:
    """No beginning of a valid body is taken for a whole one, and the trouble is never behind its end."""
    assert agree(text) is not None
    for size in range(len(text)):
        assert agree(text[:size]) is None


def test_every_byte_counts() -> None:
    """Each byte of a body replaced by each of a set of telling bytes gives what the slow reader says."""
    for i in range(len(CHAT)):
        for byte in b'"\\{}[]:, 0e\x00\x1f\x80\xff':
            agree(CHAT[:i] + bytes([byte]) + CHAT[i + 1:])


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12)
bodies = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=6), values, max_size=6)
texts = st.builds(lambda body, ascii_only, indent: json.dumps(body, ensure_ascii=ascii_only, indent=indent),
                  bodies, st.booleans(), st.sampled_from([None, 0, 3])).map(str.encode)
pieces = st.lists(st.sampled_from(
    [b"{", b"}", b"[", b"]", b":", b",", b'"', b'"n"', b'"n":', b'"x":', b"1", b"-", b"0", b".", b"e", b"E5",
     b"true", b"null", b" ", b"\n", b"\\", b"\\u", b"\\n", b"d83d", b"\\ude00", b"x" * 15, b"y" * 63,
     b"\xc3\xa9",
     b"\xe4\xbd\xa0", b"\xf0\x9f\x98\x80", b"\x80", b"\xed\xa0\x80", b"\x00", b"\x7f"]),
     max_size=12).map(b"".join)


@given(texts)
def test_whatever_python_writes_is_read_alike(text: bytes) -> None:
    """What json.dumps writes is read as orjson does, unless a wanted name is escaped or in other letters' case."""
    names = set(json.loads(text))
    escaped = "\u00e9t\u00e9" in names and "\u00e9t\u00e9".encode() not in text
    cased = any(folded(name.encode()) in map(folded, map(str.encode, NAMES)) for name in names - set(NAMES))
    assert (agree(text) is None) == (escaped or cased)


@given(texts, st.integers(0, 10_000), st.binary(max_size=3), st.integers(0, 3))
@settings(max_examples=300)
def test_damaged_texts_are_judged_alike(text: bytes, place: int, instead: bytes, dropped: int) -> None:
    """A body with some bytes replaced, added or dropped is refused or read as the slow reader does."""
    place %= len(text) + 1
    agree(text[:place] + instead + text[place + dropped:])


@given(st.sampled_from([b"", b'{"x":"', b'{"n":"' + b"p" * 50]), pieces, st.sampled_from([b"", b'"}', b"}"]))
@settings(max_examples=500)
def test_heaps_of_pieces_are_judged_alike(before: bytes, heap: bytes, behind: bytes) -> None:
    """Random heaps of JSON's own pieces are refused or read as the slow reader does."""
    agree(before + heap + behind)


@given(st.from_regex(rb"\A-?[0-9]{1,25}(\.[0-9]{1,25})?([eE][-+]?[0-9]{1,3})?\Z"))
@example(b"9223372036854775807")
@example(b"-9223372036854775807")
@example(b"9223372036854775808")
@example(b"-9223372036854775808")
@example(b"99999999999999999999")
@example(b"-0")
@example(b"1e2")
@example(b"2.0")
@example(b"0." + b"1" * 5000)
def test_numbers_have_their_values(text: bytes) -> None:
    """`integer` gives plain whole numbers within int64 (but its least), `number` the nearest double."""
    body = b'{"n":' + text + b"}"
    if agree(body) is None:
        return
    whole, real = read_number(body)
    assert real == float(text) and math.copysign(1, real) == math.copysign(1, float(text))
    plain = text.lstrip(b"-").isdigit() and abs(int(text)) < 2**63
    assert whole == (int(text) if plain else None)


def test_values_of_other_kinds_are_no_numbers() -> None:
    """A member that is absent or no number has no integer and is NaN."""
    for body in (b"{}", b'{"n":null}', b'{"n":"1"}', b'{"n":[1]}'):
        whole, real = read_number(body)
        assert whole is None and math.isnan(real)


def test_numbers_do_not_depend_on_the_locale() -> None:
    """A locale with a decimal comma changes no value."""
    before = locale.setlocale(locale.LC_NUMERIC)
    for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "C.UTF-8"):
        try:
            locale.setlocale(locale.LC_NUMERIC, name)
        except locale.Error:
            continue
        assert read_number(b'{"n":0.75}')[1] == 0.75
    locale.setlocale(locale.LC_NUMERIC, before)


def test_any_buffer_is_read_and_none_is_kept() -> None:
    """bytearray and memoryview are read in place, and are free again afterwards."""
    text = bytearray(CHAT)
    assert scan_members(memoryview(text)[:], ("n",)) == scan_members(CHAT, ("n",))
    text.append(0x20)
    assert is_object(CHAT, Names(NAMES)) and not is_object(CHAT[:-1], Names(NAMES))
