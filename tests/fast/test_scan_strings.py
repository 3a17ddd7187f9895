"""Long strings, read by every kernel of this processor: what stands at borders of blocks, and where they are cut."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge._fast.json.scan import ScanError, kernels, scan_members, use_kernel
from tests.fast.cliff import Cliff
from tests.fast.slow_json import agree

GOOD = [b'\\"', b"\\\\", b"\\/", b"\\n\\t", b"\\u00e9", b"\\uD7fF", b"\\ue000", b"\\u0022", b"\\ud83d\\ude00",
        b"\\uDBFF\\uDFFF\\uD800\\uDC00", b"\\u4f60\\u597d", b"\xc3\xa9", b"\xdf\xbf", b"\xe0\xa0\x80",
        b"\xed\x9f\xbf", b"\xe4\xbd\xa0\xe5\xa5\xbd", b"\xf0\x90\x80\x80", b"\xf4\x8f\xbf\xbf"]
BAD = [b"\\a", b"\\0", b"\\U00e9", b"\\u00g9", b"\\u00 9", b'\\u00"9', b"\\u\\u00e9", b"\\u0\\u00e9", b"\\u00e\\n",
       b"\\ud83d", b"\\ude00", b"\\ud83dx", b"\\ud83d\\n", b"\\ud83d\\u0041", b"\\ud83d\\ud83d\\ude00",
       b"\\uDC00\\uD800", b"\\ud83d\\\\ude00", b"\x00", b"\x1f", b"\n", b"\x80", b"\xbf", b"\xc0\xaf", b"\xc1\xbf",
       b"\xc3", b"\xc3\xc3\xa9", b"\xc3\xa9\xa9", b"\xe0\x9f\xbf", b"\xe4\xbd", b"\xe4", b"\xed\xa0\x80",
       b"\xf0\x8f\xbf\xbf", b"\xf0\x9f\x98", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xff", b"\\\xc3\xa9",
       b"\\u00\xc3\xa9", b"\xc3\\n"]
BORDERS = (*range(10, 18), *range(51, 82), *range(115, 131))


@pytest.fixture(params=kernels(), scope="module", autouse=True)
def kernel(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every test here runs with every kernel."""
    use_kernel(request.param)
    yield request.param
    use_kernel(kernels()[0])


def text(inside: bytes, behind: int = 90) -> bytes:
    """A body with one string, and with some spaces behind it."""
    return b'{"x":"' + inside + b'"}' + b" " * behind


def test_kernels_are_listed_and_others_refused(kernel: str) -> None:
    """The plain kernel runs everywhere, the names are those that use_kernel takes, and no other is."""
    assert kernels()[-1] == "plain" and len(set(kernels())) == len(kernels())
    with pytest.raises(ValueError, match="no kernel of this processor: 'sse9'"):
        use_kernel("sse9")


@pytest.mark.parametrize("piece", GOOD, ids=repr)
def test_what_is_valid_may_reach_over_a_border(piece: bytes) -> None:
    """Each escape and character is accepted at each place around the borders, before plain and dense text."""
    for place in BORDERS:
        for behind in (b"", b"q" * 90, piece * 20):
            assert agree(text(b"p" * place + piece + behind), ("x",)) is not None


@pytest.mark.parametrize("piece", BAD, ids=repr)
def test_what_is_invalid_is_found_at_its_byte(piece: bytes) -> None:
    """Each bad escape and character is refused at each place around the borders, and the right byte is told."""
    for place in BORDERS:
        for behind in (b"", b"q" * 90):
            assert agree(text(b"p" * place + piece + behind), ("x",)) is None


@pytest.mark.parametrize("count", [*range(1, 9), *range(60, 70), *range(124, 132)])
def test_runs_of_backslashes_are_counted(count: int) -> None:
    """Behind an even number of backslashes a quote ends the string, behind an odd one it does not."""
    for place in (0, 15, 16, 17, *range(60, 67)):
        run = b"p" * place + b"\\" * count
        assert (agree(text(run), ("x",)) is None) == (count % 2 == 1)
        assert (agree(text(run + b'"' + b"q" * 70), ("x",)) is None) == (count % 2 == 0)


def test_what_follows_the_quote_is_no_part_of_the_string() -> None:
    """Bad bytes in the same block, but behind the closing quote, are told as trouble behind the string."""
    for place in BORDERS:
        for behind in (b"\\u", b"\x80", b"\\ud83d", b"\x01", b"u"):
            assert agree(b'{"x":"' + b"p" * place + b'\\n"' + behind + b" " * 90, ("x",)) is None
        assert agree(b'["' + b"p" * place + b'\\ud83d\\ude00","\\u00e9","\xc3\xa9","' + b"q" * 90 + b'"]', ()) is None


def test_a_long_name_with_an_escape_is_seen_to_have_one() -> None:
    """A wanted name of 255 bytes is found plain, and refused with an escape in any of its blocks."""
    name = b"n" * 255
    assert agree(b'{"' + name + b'":1}' + b" " * 90, (name.decode(),)) is not None
    for place in (0, 14, 15, 16, 62, 78, 79, 80, 143, 144, 240, 254):
        escaped = name[:place] + b"\\u006e" + name[place + 1:]
        assert agree(b'{"' + escaped + b'":1}' + b" " * 90, (name.decode(),)) is None


def test_dense_text_cut_anywhere_is_refused_and_nothing_behind_is_read() -> None:
    """A string of escapes and all scripts, cut at every byte before an unmapped page, ends too early at its end."""
    whole = (b'{"x":"' + b"".join(GOOD) + b" plain text in between, longer than a block, to be passed over at once "
             + b"".join(reversed(GOOD)) + b'","y":"' + b"".join(GOOD) * 2 + b'"}')
    cliff = Cliff()
    assert scan_members(cliff.put(whole), ("x", "y")) == agree(whole, ("x", "y"))
    for size in range(len(whole)):
        assert agree(whole[:size], ("x", "y")) is None
        with pytest.raises(ScanError) as caught:
            scan_members(cliff.put(whole[:size]), ("x", "y"))
        assert caught.value.position <= size


def test_all_characters_are_read_alike() -> None:
    """Every character of Unicode is accepted raw and escaped, in a text that shifts them over the borders."""
    everything = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x110000, 7))))
    for ascii_only in (False, True):
        body = json.dumps({"x": everything}, ensure_ascii=ascii_only).encode()
        assert scan_members(body, ("x",)) == {"x": ("string", 6, len(body) - 1)}


strings = st.lists(st.sampled_from([*GOOD, b"plain", b"x", b"y" * 40, b"u", b"d8", b"\\\\\\\\"]), max_size=40)


@given(strings.map(b"".join), st.integers(0, 70), st.sampled_from([b"", *BAD]), st.floats(0, 1))
@settings(max_examples=300)
def test_dense_strings_are_judged_alike(inside: bytes, shift: int, wrong: bytes, where: float) -> None:
    """Heaps of escapes and characters, with or without something bad between them, give what the slow reader says."""
    place = int(where * len(inside))
    agree(text(b"p" * shift + inside[:place] + wrong + inside[place:]), ("x",))


def test_one_damaged_byte_is_judged_alike() -> None:
    """Dense strings with one byte replaced by a telling one give what the slow reader says."""
    rng = random.Random(3)
    for _ in range(1500):
        inside = bytearray(b"".join(rng.choices(GOOD, k=30)))
        inside[rng.randrange(len(inside))] = rng.choice(b'"\\ud8Dc\x00\x80\xc3\xe4\xf0\xff ')
        agree(text(b"p" * rng.randrange(64) + inside, rng.choice([0, 3, 90])), ("x",))
