"""A slow reader of JSON written from RFC 8259, oracle of the scanner's tests, and the cases they share."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson
import pytest

from edge._fast.json.scan import ScanError, scan_members

NAMES = ("model", "messages", "stream", "temperature", "max_tokens", "n", "\u00e9t\u00e9", "a/b")
MAX_DEPTH = 256

CHAT = (b'{"model":"gpt-4o","messages":[{"role":"system","content":"Be kind."},{"role":"user","content":'
        b'"caf\xc3\xa9 \\u00e9 \\ud83d\\ude00 \xf0\x9f\x98\x80 \xe4\xbd\xa0\xe5\xa5\xbd \\"quoted\\" '
        b'and more than sixty-four bytes of plain text behind it\\n"}],"temperature":0.7,"n":1,"stop":["a",'
        b'null],'
        b'"stream":true,"max_tokens":-1.5e+3,"logit_bias":{"50256":-100}, "user" : "u"}')


class Refused(Exception):
    """The slow reader's verdict: (reason, byte)."""


def folded(name: bytes) -> str:
    """A name without case, as lenient decoders compare them."""
    text = name.decode().partition("\0")[0]
    small = "".join(c.lower() if c.isascii() else c for c in text)
    return small.translate({0x17f: "s", 0x212a: "k", 0x130: "i", 0x131: "i"})


class Slow:
    """RFC 8259 read one byte at a time, with the scanner's rules about depth and wanted members."""

    def __init__(self, text: bytes, names: tuple[str, ...]) -> None:
        self.text, self.names, self.at = text, [name.encode() for name in names], 0
        self.found: dict[str, tuple[str, int, int]] = {}

    def read(self) -> dict[str, tuple[str, int, int]]:
        """The wanted members, as `scan_members` gives them; raises Refused."""
        self._space()
        start = self.at
        self._value(0)
        self._space()
        if self.at < len(self.text):
            raise Refused("bad", self.at)
        if self.text[start] != ord("{"):
            raise Refused("no object", start)
        return self.found

    def _peek(self) -> bytes:
        if self.at == len(self.text):
            raise Refused("bad", self.at)
        return self.text[self.at:self.at + 1]

    def _space(self) -> None:
        while self.text[self.at:self.at + 1] in (b" ", b"\t", b"\r", b"\n"):
            self.at += 1

    def _take(self, byte: bytes) -> None:
        if self._peek() != byte:
            raise Refused("bad", self.at)
        self.at += 1

    def _value(self, depth: int) -> str:
        first = self._peek()
        if first in b"{[":
            if depth == MAX_DEPTH:
                raise Refused("deep", self.at)
            return self._container(depth + 1, first == b"{")
        if first == b'"':
            self._string()
            return "string"
        if first in b"-0123456789":
            self._number()
            return "number"
        for word in ("true", "false", "null"):
            if first == word[:1].encode():
                part = self.text[self.at:self.at + len(word)]
                if not word.encode().startswith(part):
                    raise Refused("bad", self.at)
                self.at += len(part)
                if part != word.encode():
                    raise Refused("bad", self.at)
                return word
        raise Refused("bad", self.at)

    def _container(self, depth: int, is_object: bool) -> str:
        closer = b"}" if is_object else b"]"
        self.at += 1
        self._space()
        if self._peek() != closer:
            while True:
                if is_object:
                    self._member(depth)
                else:
                    self._value(depth)
                self._space()
                if self._peek() != b",":
                    break
                self.at += 1
                self._space()
        self._take(closer)
        return "object" if is_object else "array"

    def _member(self, depth: int) -> None:
        begin = self.at
        if self._peek() != b'"':
            raise Refused("bad", begin)
        self._string()
        raw = self.text[begin:self.at]
        self._space()
        self._take(b":")
        self._space()
        name = orjson.loads(raw).encode() if depth == 1 else b""
        start = self.at
        if start < len(self.text) and name in self.names:
            if b"\\" in raw or name.decode() in self.found:
                raise Refused("twice", begin)
            self.found[name.decode()] = ("", 0, 0)
        elif start < len(self.text) and folded(name) in map(folded, self.names):
            raise Refused("twice", begin)
        kind = self._value(depth)
        if name in self.names:
            self.found[name.decode()] = (kind, start, self.at)

    def _string(self) -> None:
        self.at += 1
        while self._peek() != b'"':
            byte = self._peek()[0]
            if byte < 0x20:
                raise Refused("bad", self.at)
            if byte == 0x5C:
                self._escape()
                continue
            for size in (1, 2, 3, 4):
                try:
                    self.text[self.at:self.at + size].decode()
                except UnicodeDecodeError:
                    continue
                break
            else:
                raise Refused("bad", self.at)
            self.at += size
        self.at += 1

    def _escape(self) -> None:
        begin = self.at
        unit = self._unit()
        if 0xDC00 <= unit < 0xE000:
            raise Refused("bad", begin)
        if 0xD800 <= unit < 0xDC00:
            if not b"\\u".startswith(self.text[self.at:self.at + 2]):
                raise Refused("bad", begin)
            if len(self.text) - self.at < 2:
                raise Refused("bad", len(self.text))
            if not 0xDC00 <= self._unit() < 0xE000:
                raise Refused("bad", begin)

    def _unit(self) -> int:
        begin = self.at
        self.at += 1
        kind = self._peek()
        self.at += 1
        if kind != b"u":
            if kind not in b'"\\/bfnrt':
                raise Refused("bad", begin)
            return 0
        for _ in range(4):
            if self._peek() not in b"0123456789abcdefABCDEF":
                raise Refused("bad", begin)
            self.at += 1
        return int(self.text[begin + 2:self.at], 16)

    def _number(self) -> None:
        begin = self.at
        if self._peek() == b"-":
            self.at += 1
        if self._peek() == b"0":
            self.at += 1
        else:
            self._digits()
        if self.text[self.at:self.at + 1] == b".":
            self.at += 1
            self._digits()
        if self.text[self.at:self.at + 1] in (b"e", b"E"):
            self.at += 1
            if self.text[self.at:self.at + 1] in (b"+", b"-"):
                self.at += 1
            self._digits()
        if math.isinf(float(self.text[begin:self.at])):
            raise Refused("bad", begin)

    def _digits(self) -> None:
        if self._peek() not in b"0123456789":
            raise Refused("bad", self.at)
        while self.text[self.at:self.at + 1].isdigit():
            self.at += 1


REASONS = {"bad": "not JSON, or a wanted member twice", "twice": "not JSON, or a wanted member twice",
           "deep": "nested too deep", "no object": "not an object"}


def cuts(text: bytes) -> Iterator[Sequence[int]]:
    """How a text may arrive: whole, in two pieces, byte by byte where it is short, else in some random ones."""
    rng = random.Random(text)
    yield ()
    yield (rng.randint(0, len(text)),)
    yield range(len(text)) if len(text) < 80 else sorted(rng.choices(range(len(text)), k=8))


def agree(text: bytes, names: tuple[str, ...] = NAMES) -> dict[str, tuple[str, int, int]] | None:
    """Both readers on one text: the same members, or the same reason at the same byte, in pieces too. Then orjson,
    which may take a text only where it is no object, too deep, or has a wanted member twice."""
    try:
        expected: Any = Slow(text, names).read()
    except Refused as refused:
        for pieces in cuts(text):
            with pytest.raises(ScanError) as caught:
                scan_members(text, names, pieces)
            assert (caught.value.reason, caught.value.position) == (REASONS[refused.args[0]], refused.args[1]), pieces
        if refused.args[0] == "bad":
            with pytest.raises(orjson.JSONDecodeError):
                orjson.loads(text)
        return None
    for pieces in cuts(text):
        found = scan_members(text, names, pieces)
        assert found == expected, pieces
    whole = orjson.loads(text)
    assert set(found) == set(whole) & set(names)
    for name, (_, start, end) in found.items():
        assert orjson.loads(text[start:end]) == whole[name]
    return found


GOOD = [
    b"null", b"true", b"false", b"0", b"-0", b"1", b"-1", b"10", b"1234567890", b"0.0", b"-0.0", b"0.5",
    b"1.25", b"1e5", b"1E5", b"1e+5", b"1e-5", b"1.5e300", b"0e0", b"0e+1", b"0.0e-0", b"1e308",
    b"1.7976931348623157e308", b"-1.7976931348623157e308", b"123456789012345678901234567890", b"9" * 308,
    b"1e-400", b"4.9e-324", b"0e999999999999999999999", b"0." + b"0" * 400 + b"1e401", b"0." + b"3" * 700,
    b"1e00000000000000000000007", b'""', b'"a"', b'" "', b'"\x7f"', b'"/"', b'"\\""', b'"\\\\"', b'"\\/"',
    b'"\\b\\f\\n\\r\\t"', b'"\\u0000"', b'"\\u0041"', b'"\\uABCD"', b'"\\uabcd"', b'"\\ud7ff"', b'"\\ue000"',
    b'"\\uFFFF"', b'"\\ud800\\udc00"', b'"\\uDBFF\\uDFFF"', b'"\\ud83d\\ude00x"', b'"\\\\u12"', b'"\xc2\x80"',
    b'"\xdf\xbf"', b'"\xe0\xa0\x80"', b'"\xe1\x80\x80"', b'"\xed\x9f\xbf"', b'"\xee\x80\x80"',
    b'"\xef\xbf\xbf"', b'"\xef\xbb\xbf"', b'"\xf0\x90\x80\x80"', b'"\xf1\x80\x80\x80"', b'"\xf4\x8f\xbf\xbf"',
    b'"\xe2\x80\xa8"', b"[]", b"[ ]", b"[1]", b"[1,2]", b"[ 1 , 2 ]", b"[\t1\r,\n2]", b"[[]]", b"[[[[]]],{}]",
    b"{}", b"{ }", b'{"":0}', b'{"a":1,"a":2}', b'{"a":{"a":{}}}', b'{"\\u0061":1}', b'[{"a":[]},{"b":{}}]',
    b'{"a" : 1 , "b" : [ ] }',
]

BAD = [
    b"", b"n", b"nul", b"nulL", b"NULL", b"None", b"True", b"tru", b"truee", b"fals", b"falsE", b"undefined",
    b"NaN", b"-NaN", b"Infinity", b"-Infinity", b"inf", b"+1", b"-", b"--1", b"- 1", b"01", b"-01", b"00",
    b"1.", b".5", b"-.5", b"1.e5", b"1.5.5", b"1e", b"1e+", b"1E-", b"1e5.5", b"1ee5", b"0x10", b"1_000",
    b"1a", b"1 2", b"0e", b"1,", b"1e309", b"-1e309", b"1.7976931348623159e308", b"1e400", b"9" * 400,
    b"1" + b"0" * 309, b"1e99999999999999999999", b"0." + b"0" * 400 + b"1e720", b"\xef\xbc\x91", b'"', b'"a',
    b'"\\"', b'"\\', b"'a'", b'"a"b"', b'"\x00"', b'"\n"', b'"\x1f"', b'"\t"', b'"\\a"', b'"\\0"', b'"\\x41"',
    b'"\\\n"', b'"\\u"', b'"\\u1"', b'"\\u12"', b'"\\u123"', b'"\\u123g"', b'"\\u 123"', b'"\\U0041"',
    b'"\\u+123"', b'"\\ud800"', b'"\\udc00"', b'"\\udfff"', b'"\\ud800x"', b'"\\ud800\\n"',
    b'"\\ud800\\ud800"', b'"\\ud800\\u0041"', b'"\\ud800\\ue000"', b'"\\ud800\\udc0"', b'"\\ud800\\u"',
    b'"\\udc00\\ud800"', b'"\\ud800\\', b'"\\ud800\\u12', b'"\x80"', b'"\xbf"', b'"\xc0\x80"', b'"\xc0\xaf"',
    b'"\xc1\xbf"', b'"\xc2"', b'"\xc2\xc2"', b'"\xc3a"', b'"\xe0\x80\x80"', b'"\xe0\x9f\xbf"', b'"\xe1\x80"',
    b'"\xe1a\x80"', b'"\xe1\x80a"', b'"\xed\xa0\x80"', b'"\xed\xaf\xbf"', b'"\xed\xbf\xbf"',
    b'"\xed\xa0\xbd\xed\xb8\x80"', b'"\xf0\x80\x80\x80"', b'"\xf0\x8f\xbf\xbf"', b'"\xf0\x90\x80"',
    b'"\xf0\x90\x80a"', b'"\xf0\x90a\x80"', b'"\xf4\x90\x80\x80"', b'"\xf5\x80\x80\x80"',
    b'"\xf8\x88\x80\x80\x80"', b'"\xfe"', b'"\xff"', b"\xa0", b"\xc2\xa01", b"\xff", b"[", b"]", b"[1",
    b"[1,", b"[1,]", b"[,1]", b"[,]", b"[1 2]", b"[1,,2]", b"[1:2]", b"[1}", b"[[]", b"[]]", b"[{]}", b"[]x",
    b"{", b"}", b'{"a"', b'{"a":', b'{"a":1', b'{"a":1,', b'{"a":1,}', b'{,"a":1}', b"{1:1}", b"{a:1}",
    b"{'a':1}", b'{"a" 1}', b'{"a",1}', b'{"a"::1}', b'{"a":1:2}', b'{"a":1]', b'{"a":1 "b":2}', b"{null:1}",
    b'{"a":}', b'{"a":1}}', b'{"a\x01":1}', b'{"\\q":1}', b'{"\xff":1}', b'{"\\ud800":1}', b"/**/1", b"1//x",
    b"#1", b"\x00", b"1\x00", b"\x0c1", b"\x0b1", b"\xef\xbb\xbf1", b"\xff\xfe1\x00", b'{"a":1}\x00',
]

PLACES: list[Callable[[bytes], bytes]] = [
    lambda value: b'{"n":' + value + b"}", lambda value: b'{"x":' + value + b',"n":1}',
    lambda value: b'{"deep":{"n":[0, ' + value + b"]}}", lambda value: b' {"n" :\n' + value + b"\t} \r\n",
    lambda value: b'{"pad":"' + b"x" * 40 + b'","y":' + value + b',"z":"' + b"x" * 90 + b'"}',
]
