"""Request heads: what RFC 9112 and 9110 allow is read, everything else is refused, however the bytes are cut.

The tables' first column is the RFC and section that decide the row; "own" is a rule of ours.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from edge._fast.http import head


def outcome(data: bytes, **limits: int) -> dict[str, Any] | str | None:
    """What request_head makes of the bytes: a dict, the name of a refusal, None for more."""
    try:
        return head.request_head(data, **limits)
    except head.HeadError as error:
        return error.result


def get(fields: bytes = b"", line: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: a\r\n") -> bytes:
    """A head of a line and some field lines."""
    return line + b"\r\n" + host + fields + b"\r\n"


def on(line: bytes) -> bytes:
    """A head with another request line."""
    return get(line=line)


def host(value: bytes) -> bytes:
    """A head with another Host."""
    return get(host=b"Host:" + value + b"\r\n")


HOST = (b"Host", b"a", False)
CL, TE = b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"
CONTINUE = b"Expect: 100-continue\r\n"

ACCEPTED: list[tuple[str, bytes, dict[str, Any]]] = [
    ("9112 3", get(), {"method": b"GET", "method_id": 1, "path": b"/", "query": b"", "minor": 1}),
    ("9112 3", on(b"HEAD / HTTP/1.1"), {"method_id": 2}),
    ("9112 3", on(b"POST /v1/chat/completions HTTP/1.1"), {"method_id": 3, "path": b"/v1/chat/completions"}),
    ("9112 3", on(b"PUT / HTTP/1.1"), {"method_id": 4}),
    ("9112 3", on(b"DELETE / HTTP/1.1"), {"method_id": 5}),
    ("9112 3", on(b"PATCH / HTTP/1.1"), {"method_id": 6}),
    ("9112 3", on(b"OPTIONS / HTTP/1.1"), {"method_id": 7, "path": b"/"}),
    ("9112 3.1", on(b"get / HTTP/1.1"), {"method": b"get", "method_id": 0}),
    ("9112 3.1", on(b"PROPFIND / HTTP/1.1"), {"method": b"PROPFIND", "method_id": 0}),
    ("9110 5.6.2", on(b"!#$%&'*+-.^_`|~0aZ / HTTP/1.1"), {"method": b"!#$%&'*+-.^_`|~0aZ"}),
    ("own", on(b"M" * 32 + b" / HTTP/1.1"), {"method": b"M" * 32}),
    ("9112 3.2.1", on(b"GET /a/b?c=d&e HTTP/1.1"), {"path": b"/a/b", "query": b"?c=d&e"}),
    ("9112 3.2.1", on(b"GET /? HTTP/1.1"), {"path": b"/", "query": b"?"}),
    ("9112 3.2.1", on(b"GET /a?b?c HTTP/1.1"), {"path": b"/a", "query": b"?b?c"}),
    ("9110 4.1", on(b"GET //a//b HTTP/1.1"), {"path": b"//a//b"}),
    ("3986 3.3", on(b"GET /-._~!$&'()*+,;=:@ HTTP/1.1"), {"path": b"/-._~!$&'()*+,;=:@"}),
    ("3986 2.1", on(b"GET /%41%ff%0a HTTP/1.1"), {"path": b"/%41%ff%0a"}),
    ("own", on(b"GET /f?include[]=a HTTP/1.1"), {"query": b"?include[]=a"}),
    ("own", on(b"GET /" + b"a" * 8191 + b" HTTP/1.1"), {"path": b"/" + b"a" * 8191}),
    ("9112 3.2.2", on(b"GET http://a/ HTTP/1.1"), {"path": b"/", "query": b""}),
    ("9112 3.2.2", on(b"GET HTTPS://[::1]:8/b?c HTTP/1.1"), {"path": b"/b", "query": b"?c"}),
    ("9112 3.2.2", on(b"GET http://a.b:80 HTTP/1.1"), {"path": b"/", "query": b""}),
    ("9112 3.2.2", on(b"GET https://a?b=/c HTTP/1.1"), {"path": b"/", "query": b"?b=/c"}),
    ("9112 3.2.4", on(b"OPTIONS * HTTP/1.1"), {"path": b"*", "query": b"", "method_id": 7}),
    ("9112 2.2", b"\r\n" + get(), {"method": b"GET", "size": 29}),
    ("9112 2.3", get(line=b"GET / HTTP/1.0"), {"minor": 0}),
    ("9112 3.2", get(line=b"GET / HTTP/1.0", host=b""), {"minor": 0, "known": {}}),
    ("9112 5", get(b"a:b\r\n"), {"fields": [HOST, (b"a", b"b", True)]}),
    ("9112 5.1", get(b"a: \t b c \t \r\n"), {"fields": [HOST, (b"a", b"b c", True)]}),
    ("9110 5.5", get(b"a:\r\n"), {"fields": [HOST, (b"a", b"", True)]}),
    ("9110 5.5", get(b"a: \t \r\n"), {"fields": [HOST, (b"a", b"", True)]}),
    ("9110 5.5", get(b"a: b\tc\r\n"), {"fields": [HOST, (b"a", b"b\tc", True)]}),
    ("9110 5.5", get(b"a: \x80\xff\xc3\xa9\r\n"), {"fields": [HOST, (b"a", b"\x80\xff\xc3\xa9", True)]}),
    ("9110 5.5", get(b"a: :\"(),/;<=>?@[\\]{}\r\n"), {"n": 2}),
    ("9110 5.1", get(b"!#$%&'*+-.^_`|~0aZ: b\r\n"), {"n": 2}),
    ("9110 5.3", get(b"a: b\r\na: c\r\n"), {"n": 3}),
    ("own", get(b"a" * 256 + b": b\r\n"), {"n": 2}),
    ("own", get(b"a: b\r\n" * 127), {"n": 128}),
    ("9110 7.2", host(b"example.com"), {"known": {b"host": 0}}),
    ("9110 7.2", host(b" example.com:8080 "), {}),
    ("3986 3.2.3", host(b"example.com:"), {}),
    ("3986 3.2.2", host(b"127.0.0.1:80"), {}),
    ("3986 3.2.2", host(b"[::1]"), {}),
    ("3986 3.2.2", host(b"[2001:db8::ffff:192.0.2.1]:443"), {}),
    ("3986 3.2.2", host(b"a_b~c!$&'()*+;=%20"), {}),
    ("9112 6.2", get(b"Content-Length: 0\r\n"), {"content_length": 0, "has_body": False}),
    ("9112 6.2", get(b"content-LENGTH:5\r\n"), {"content_length": 5, "has_body": True, "chunked": False}),
    ("9110 8.6", get(b"Content-Length: 007\r\n"), {"content_length": 7}),
    ("9110 8.6", get(b"Content-Length: 999999999999999999\r\n"), {"content_length": 10**18 - 1}),
    ("9112 6.1", get(TE), {"chunked": True, "has_body": True, "content_length": None}),
    ("9112 7", get(b"Transfer-Encoding: \tCHUNKED \r\n"), {"chunked": True}),
    ("9112 6.3", get(), {"chunked": False, "has_body": False, "content_length": None}),
    ("9112 9.3", get(), {"keep_alive": True}),
    ("9112 9.3", get(b"Connection: close\r\n"), {"keep_alive": False}),
    ("9112 9.3", get(b"Connection: CLOSE, keep-alive\r\n"), {"keep_alive": False}),
    ("9112 9.3", get(b"Connection: keep-alive\r\nConnection: x , close\r\n"), {"keep_alive": False}),
    ("9112 9.3", get(b"Connection: closed\r\n"), {"keep_alive": True}),
    ("9112 9.3", get(line=b"GET / HTTP/1.0"), {"keep_alive": False}),
    ("9112 9.3", get(b"Connection: Keep-Alive\r\n", b"GET / HTTP/1.0"), {"keep_alive": True}),
    ("9112 9.3", get(b"Connection: keep-alive, close\r\n", b"GET / HTTP/1.0"), {"keep_alive": False}),
    ("9110 5.6.1", get(b"Connection: , ,close,\t,\r\n"), {"keep_alive": False}),
    ("9110 5.6.1", get(b"Connection:\r\n"), {"keep_alive": True}),
    ("9110 10.1.1", get(b"Expect: 100-Continue\r\nContent-Length: 1\r\n"), {"expect_continue": True}),
    ("9110 10.1.1", get(CONTINUE + TE), {"expect_continue": True}),
    ("9110 10.1.1", get(CONTINUE), {"expect_continue": False}),
    ("9110 10.1.1", get(CONTINUE + CL, b"GET / HTTP/1.0"), {"expect_continue": False}),
    ("9110 7.8", get(b"Upgrade: h2c\r\nConnection: upgrade\r\n"), {"keep_alive": True, "n": 3}),
    ("9110 5.3", get(b"Accept: a\r\nAccept: b\r\nContent-Encoding: a\r\nContent-Encoding: b\r\n"), {"n": 5}),
    ("own", get(b"Connection: " + b"x, " * 32 + b"close\r\n"), {"keep_alive": False}),
]

REFUSED: list[tuple[str, bytes, str]] = [
    # start line
    ("9112 2.2", b"\r\n\r\n", "bad"),
    ("9112 2.2", b"\r\n\r\n" + get(), "bad"),
    ("9112 2.2", b"\n" + get(), "bad"),
    ("9112 2.2", b"\r" + get(), "bad"),
    ("9112 2.2", b" " + get(), "bad"),
    ("9112 3", on(b""), "bad"),
    ("9112 3", on(b" / HTTP/1.1"), "bad"),
    ("9112 3", on(b"GET  / HTTP/1.1"), "bad"),
    ("9112 3", on(b"GET /  HTTP/1.1"), "bad"),
    ("9112 3", on(b"GET / HTTP/1.1 "), "bad"),
    ("9112 3", on(b"GET\t/ HTTP/1.1"), "bad"),
    ("9112 3", on(b"GET /\tHTTP/1.1"), "bad"),
    ("9112 3", on(b"GET /\x0bHTTP/1.1"), "bad"),
    ("9112 3", on(b"GET"), "bad"),
    ("9112 3", on(b"GET "), "bad"),
    ("9112 3", on(b"GET /"), "bad"),
    ("9112 3", on(b"GET / "), "bad"),
    ("9112 3", on(b"GET HTTP/1.1"), "bad"),
    ("9112 3", on(b"GET / a HTTP/1.1"), "bad"),
    ("9112 2.2", b"GET / HTTP/1.1\nHost: a\r\n\r\n", "bad"),
    ("9112 2.2", b"GET / HTTP/1.1\rHost: a\r\n\r\n", "bad"),
    ("9112 2.2", b"GET / HTTP/1.1\r\rHost: a\r\n\r\n", "bad"),
    ("9112 2.2", b"GET /\r\n HTTP/1.1\r\nHost: a\r\n\r\n", "bad"),
    ("9110 5.6.2", on(b"G\x00T / HTTP/1.1"), "bad"),
    ("9110 5.6.2", on(b"G@T / HTTP/1.1"), "bad"),
    ("9110 5.6.2", on(b"GE(T) / HTTP/1.1"), "bad"),
    ("9110 5.6.2", on(b"\xc3\xa9 / HTTP/1.1"), "bad"),
    ("9110 5.6.2", on(b"GET: / HTTP/1.1"), "bad"),
    ("own", on(b"M" * 33 + b" / HTTP/1.1"), "bad"),
    ("own", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "bad"),
    ("own", b"SSH-2.0-OpenSSH_9.2\r\n", "bad"),
    ("9112 3.2", on(b"GET a HTTP/1.1"), "bad"),
    ("9112 3.2", on(b"GET ?a HTTP/1.1"), "bad"),
    ("9112 3.2.2", on(b"GET ftp://a/ HTTP/1.1"), "bad"),
    ("9112 3.2.2", on(b"GET http:/a HTTP/1.1"), "bad"),
    ("9112 3.2.2", on(b"GET http:///a HTTP/1.1"), "bad"),
    ("9112 3.2.2", on(b"GET http://a@b/ HTTP/1.1"), "bad"),
    ("9112 3.2.2", on(b"GET http://a,b/ HTTP/1.1"), "bad"),
    ("9112 3.2.2", on(b"GET http://a#b HTTP/1.1"), "bad"),
    ("9112 3.2.2", on(b"GET httpss://a/ HTTP/1.1"), "bad"),
    ("9112 3.2.2", on(b"GET http://a:b/ HTTP/1.1"), "bad"),
    ("9112 3.2.3", on(b"CONNECT a:443 HTTP/1.1"), "bad"),
    ("9112 3.2.3", on(b"CONNECT / HTTP/1.1"), "bad"),
    ("9112 3.2.4", on(b"GET * HTTP/1.1"), "bad"),
    ("9112 3.2.4", on(b"OPTIONS *a HTTP/1.1"), "bad"),
    ("9112 3.2.4", on(b"OPTIONS *?a HTTP/1.1"), "bad"),
    ("9112 3.2.4", on(b"PRI * HTTP/1.1"), "bad"),
    ("3986 3.5", on(b"GET /a#b HTTP/1.1"), "bad"),
    ("3986 3.3", on(b"GET /\\ HTTP/1.1"), "bad"),
    ("3986 3.3", on(b"GET /\"a\" HTTP/1.1"), "bad"),
    ("3986 3.3", on(b"GET /<a> HTTP/1.1"), "bad"),
    ("3986 3.3", on(b"GET /^ HTTP/1.1"), "bad"),
    ("3986 3.3", on(b"GET /` HTTP/1.1"), "bad"),
    ("3986 3.3", on(b"GET /{a} HTTP/1.1"), "bad"),
    ("3986 3.3", on(b"GET /a|b HTTP/1.1"), "bad"),
    ("3986 3.4", on(b"GET /?{a} HTTP/1.1"), "bad"),
    ("3986 2.1", on(b"GET /\x7f HTTP/1.1"), "bad"),
    ("3986 2.1", on(b"GET /\x00 HTTP/1.1"), "bad"),
    ("3986 2.1", on(b"GET /\xc3\xa9 HTTP/1.1"), "bad"),
    ("3986 2.1", on(b"GET /% HTTP/1.1"), "bad"),
    ("3986 2.1", on(b"GET /%4 HTTP/1.1"), "bad"),
    ("3986 2.1", on(b"GET /%g0 HTTP/1.1"), "bad"),
    ("3986 2.1", on(b"GET /%0g HTTP/1.1"), "bad"),
    ("3986 2.1", on(b"GET /?%%41 HTTP/1.1"), "bad"),
    ("9110 15.5.15", on(b"GET /" + b"a" * 8192 + b" HTTP/1.1"), "target_long"),
    ("9110 15.5.15", b"GET /?" + b"%41" * 3000, "target_long"),
    ("9112 2.3", on(b"GET / HTTP/2.0"), "version"),
    ("9112 2.3", on(b"GET / HTTP/1.2"), "version"),
    ("9112 2.3", on(b"GET / HTTP/0.9"), "version"),
    ("9112 2.3", on(b"GET / HTTP/3.1"), "version"),
    ("9113 3.4", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "version"),
    ("9112 2.3", on(b"GET / HTTP/1"), "bad"),
    ("9112 2.3", on(b"GET / HTTP/2"), "bad"),
    ("9112 2.3", on(b"GET / HTTP/1.10"), "bad"),
    ("9112 2.3", on(b"GET / HTTP/11.1"), "bad"),
    ("9112 2.3", on(b"GET / HTTP/1,1"), "bad"),
    ("9112 2.3", on(b"GET / HTTP/a.1"), "bad"),
    ("9112 2.3", on(b"GET / http/1.1"), "bad"),
    ("9112 2.3", on(b"GET / HTTPS/1.1"), "bad"),
    ("9112 2.3", on(b"GET / HTTP/ 1.1"), "bad"),
    ("9112 2.3", on(b"GET / HTTP/+1.1"), "bad"),
    # field lines
    ("9112 5.1", get(b"a : b\r\n"), "bad"),
    ("9112 5.1", get(b"a\t: b\r\n"), "bad"),
    ("9112 5.1", get(b" a: b\r\n"), "bad"),
    ("9112 5.1", get(b": b\r\n"), "bad"),
    ("9112 5.1", get(b"a\r\n"), "bad"),
    ("9112 5.1", get(b"a b: c\r\n"), "bad"),
    ("9112 5.2", get(b"a: b\r\n c\r\n"), "bad"),
    ("9112 5.2", get(b"a: b\r\n\tc: d\r\n"), "bad"),
    ("9112 2.2", get(host=b" a: b\r\nHost: a\r\n"), "bad"),
    ("9112 5.2", get(b"a:\r\n b\r\n"), "bad"),
    ("9110 5.1", get(b"a\x00: b\r\n"), "bad"),
    ("9110 5.1", get(b"a\x7f: b\r\n"), "bad"),
    ("9110 5.1", get(b"\xe9: b\r\n"), "bad"),
    ("9110 5.1", get(b"a(b): c\r\n"), "bad"),
    ("9110 5.1", get(b"a/b: c\r\n"), "bad"),
    ("9110 5.1", get(b"a@b: c\r\n"), "bad"),
    ("9110 5.1", get(b"[a]: c\r\n"), "bad"),
    ("9110 5.1", get(b"\"a\": c\r\n"), "bad"),
    ("9110 5.5", get(b"a: b\x00c\r\n"), "bad"),
    ("9110 5.5", get(b"a: b\x01\r\n"), "bad"),
    ("9110 5.5", get(b"a: b\x08\r\n"), "bad"),
    ("9110 5.5", get(b"a: \x0bb\r\n"), "bad"),
    ("9110 5.5", get(b"a: b\x0c\r\n"), "bad"),
    ("9110 5.5", get(b"a: \x1b[31m\r\n"), "bad"),
    ("9110 5.5", get(b"a: b\x7f\r\n"), "bad"),
    ("9110 5.5", get(b"a: 0123456789abcdef0123456789\x1f\r\n"), "bad"),
    ("9112 2.2", get(b"a: b\n"), "bad"),
    ("9112 2.2", get(b"a: b\nc: d\r\n"), "bad"),
    ("9112 2.2", get(b"a: b\rc: d\r\n"), "bad"),
    ("9112 2.2", get(b"a: b\r\r\n"), "bad"),
    ("9112 2.2", b"GET / HTTP/1.1\r\nHost: a\r\n\n", "bad"),
    ("9112 2.2", b"GET / HTTP/1.1\r\nHost: a\r\n\ra", "bad"),
    ("9112 2.2", b"GET / HTTP/1.1\r\nHost: a\n\n", "bad"),
    ("own", get(b"a: b\r\n" * 128), "large"),
    ("own", get(b"a" * 257 + b": b\r\n"), "large"),
    ("own", get(b"Connection: " + b"x, " * 33 + b"\r\n"), "large"),
    ("9110 15.5.20", get(b"a: " + b"b" * 65536 + b"\r\n"), "large"),
    # host
    ("9112 3.2", get(host=b""), "bad"),
    ("9112 3.2", get(b"Host: a\r\n"), "bad"),
    ("9112 3.2", get(b"hOST: b\r\n"), "bad"),
    ("9112 3.2", get(b"Host: a\r\n", b"GET / HTTP/1.0"), "bad"),
    ("9110 4.2.1", host(b""), "bad"),
    ("9110 4.2.1", host(b" "), "bad"),
    ("9110 4.2.1", host(b":80"), "bad"),
    ("9110 7.2", host(b"a b"), "bad"),
    ("9110 7.2", host(b"a,b"), "bad"),
    ("9110 7.2", host(b"a/b"), "bad"),
    ("9110 7.2", host(b"u@a"), "bad"),
    ("9110 7.2", host(b"http://a"), "bad"),
    ("9110 7.2", host(b"a:80:80"), "bad"),
    ("9110 7.2", host(b"a:http"), "bad"),
    ("9110 7.2", host(b"a\\b"), "bad"),
    ("9110 7.2", host(b"a?b"), "bad"),
    ("9110 7.2", host(b"a#b"), "bad"),
    ("9110 7.2", host(b"\xe9.com"), "bad"),
    ("3986 3.2.2", host(b"a%2"), "bad"),
    ("3986 3.2.2", host(b"a%zz"), "bad"),
    ("3986 3.2.2", host(b"[::1"), "bad"),
    ("3986 3.2.2", host(b"[]"), "bad"),
    ("3986 3.2.2", host(b"[::1]a"), "bad"),
    ("3986 3.2.2", host(b"[:::1]"), "bad"),
    ("3986 3.2.2", host(b"[127.0.0.1]"), "bad"),
    ("3986 3.2.2", host(b"[fe80::1%25eth0]"), "bad"),
    ("3986 3.2.2", host(b"[" + b"1" * 46 + b"]"), "bad"),
    ("3986 3.2.2", host(b"::1"), "bad"),
    # framing: what smuggling is made of
    ("9112 6.3", get(CL + TE), "bad"),
    ("9112 6.3", get(TE + CL), "bad"),
    ("9112 6.3", get(TE + b"Content-Length: 0\r\n"), "bad"),
    ("9112 6.3", get(CL + CL), "bad"),
    ("9112 6.3", get(CL + b"Content-Length: 6\r\n"), "bad"),
    ("9112 6.3", get(b"Content-Length: 5, 5\r\n"), "bad"),
    ("9110 8.6", get(b"Content-Length:\r\n"), "bad"),
    ("9110 8.6", get(b"Content-Length: +5\r\n"), "bad"),
    ("9110 8.6", get(b"Content-Length: -5\r\n"), "bad"),
    ("9110 8.6", get(b"Content-Length: 5 5\r\n"), "bad"),
    ("9110 8.6", get(b"Content-Length: 5.0\r\n"), "bad"),
    ("9110 8.6", get(b"Content-Length: 1e3\r\n"), "bad"),
    ("9110 8.6", get(b"Content-Length: 0x5\r\n"), "bad"),
    ("9110 8.6", get(b"Content-Length: 1_0\r\n"), "bad"),
    ("9110 8.6", get(b"Content-Length: \xd9\xa5\r\n"), "bad"),
    ("9110 8.6", get(b"Content-Length: 5;\r\n"), "bad"),
    ("9110 8.6", get(b"Content-Length: \"5\"\r\n"), "bad"),
    ("9110 8.6", get(b"Content-Length: 1000000000000000000\r\n"), "bad"),
    ("9110 8.6", get(b"Content-Length: 18446744073709551621\r\n"), "bad"),
    ("9110 8.6", get(b"Content-Length: 5\x0b\r\n"), "bad"),
    ("9112 5.1", get(b"Content-Length : 5\r\n"), "bad"),
    ("9112 5.2", get(b"Content-Length:\r\n 5\r\n"), "bad"),
    ("9112 6.1", get(TE + TE), "bad"),
    ("9112 6.1", get(TE + b"Transfer-Encoding: identity\r\n"), "bad"),
    ("9112 6.1", get(TE, b"POST / HTTP/1.0"), "bad"),
    ("9112 6.1", get(b"Transfer-Encoding:\r\n"), "bad"),
    ("9112 5.1", get(b"Transfer-Encoding : chunked\r\n"), "bad"),
    ("9112 5.2", get(b"Transfer-Encoding:\r\n chunked\r\n"), "bad"),
    ("9112 5.2", get(b"Transfer-Encoding: chunked\r\n , identity\r\n"), "bad"),
    ("9110 5.1", get(b"\x00Transfer-Encoding: chunked\r\n"), "bad"),
    ("9110 5.5", get(b"Transfer-Encoding: \x0bchunked\r\n"), "bad"),
    ("9110 5.5", get(b"Transfer-Encoding: chunked\x00\r\n"), "bad"),
    ("9112 2.2", get(b"a: b\rTransfer-Encoding: chunked\r\n"), "bad"),
    ("9112 2.2", get(b"a: b\nTransfer-Encoding: chunked\r\n"), "bad"),
    ("9112 6.1", get(b"Transfer-Encoding: gzip\r\n"), "bad"),
    ("9112 6.1", get(b"Transfer-Encoding: gzip, chunked\r\n"), "coding"),
    ("9112 6.1", get(b"Transfer-Encoding: GZIP\t,x-gzip , Deflate,compress, x-compress ,chunked\r\n"), "coding"),
    ("9112 6.1", get(b"Transfer-Encoding: br, chunked\r\n"), "bad"),
    ("9112 6.3", get(b"Transfer-Encoding: chunked, gzip, chunked\r\n"), "bad"),
    ("9112 6.3", get(b"Transfer-Encoding: gzip, chunked,\r\n"), "bad"),
    ("9112 6.3", get(b"Transfer-Encoding: gzip;q=1, chunked\r\n"), "bad"),
    ("9112 6.1", get(b"Transfer-Encoding: chunked, gzip\r\n"), "bad"),
    ("9112 6.1", get(b"Transfer-Encoding: chunked, chunked\r\n"), "bad"),
    ("9112 6.1", get(b"Transfer-Encoding: identity\r\n"), "bad"),
    ("9112 6.1", get(b"Transfer-Encoding: xchunked\r\n"), "bad"),
    ("9112 6.1", get(b"Transfer-Encoding: chunkedx\r\n"), "bad"),
    ("9112 6.1", get(b"Transfer-Encoding: chunked;q=1\r\n"), "bad"),
    ("9112 6.1", get(b"Transfer-Encoding: \"chunked\"\r\n"), "bad"),
    ("9112 6.1", get(b"Transfer-Encoding: 'chunked'\r\n"), "bad"),
    ("9112 6.1", get(b"Transfer-Encoding: ,chunked\r\n"), "bad"),
    ("9112 6.1", get(b"Transfer-Encoding: chunk ed\r\n"), "bad"),
    ("9112 6.1", get(b"Transfer-Encoding: chun\xe1ked\r\n"), "bad"),
    # fields with one meaning
    ("9110 5.3", get(b"Authorization: a\r\nauthorization: b\r\n"), "bad"),
    ("9110 5.3", get(b"Authorization: a\r\nAuthorization: a\r\n"), "bad"),
    ("9110 5.3", get(b"x-api-key: a\r\nX-API-Key: b\r\n"), "bad"),
    ("9110 5.3", get(b"Content-Type: a/b\r\nContent-Type: a/c\r\n"), "bad"),
    ("9110 5.3", get(CONTINUE + CONTINUE), "bad"),
    ("9110 10.1.1", get(b"Expect: 200-ok\r\n"), "bad"),
    ("9110 10.1.1", get(b"Expect: 100-continue, a=b\r\n"), "bad"),
    ("9110 10.1.1", get(b"Expect:\r\n"), "bad"),
    ("9110 7.6.1", get(b"Connection: clo se\r\n"), "bad"),
    ("9110 7.6.1", get(b"Connection: a=b\r\n"), "bad"),
    ("9110 7.6.1", get(b"Connection: close;\r\n"), "bad"),
    ("9110 7.6.1", get(b"Connection: \"close\"\r\n"), "bad"),
]


@pytest.mark.parametrize(("section", "data", "wanted"), ACCEPTED)
def test_accepts(section: str, data: bytes, wanted: dict[str, Any]) -> None:
    """A head that the RFCs allow is read as they say."""
    found = outcome(data)
    assert isinstance(found, dict), (section, found)
    found["n"] = len(found["fields"])
    assert {name: found[name] for name in wanted} == wanted, section
    assert found["size"] == len(data)


@pytest.mark.parametrize(("section", "data", "wanted"), REFUSED)
def test_refuses(section: str, data: bytes, wanted: str) -> None:
    """A head that the RFCs forbid, or leave open to two readings, is refused for the right reason."""
    assert outcome(data) == wanted, section


@pytest.mark.parametrize("data", [row[1] for row in ACCEPTED] + [row[1] for row in REFUSED])
def test_cuts_do_not_matter(data: bytes) -> None:
    """Whole, byte by byte, or with a body behind it, a head has one result."""
    whole = outcome(data)
    cuts = range(len(data) + 1) if len(data) < 2000 else random.Random(0).sample(range(len(data)), 50)
    results = [outcome(data[:cut]) for cut in sorted(cuts)]
    decided = next((i for i, result in enumerate(results) if result is not None), len(results))
    assert all(result == whole for result in results[decided:])
    for tail in (b"\r\n", b"GET /x HTTP/1.1\r\n", bytes(range(256)), b"\r\n\r\n" * 20_000):
        assert outcome(data + tail) == whole


@pytest.mark.parametrize(
    ("start", "wanted"),
    [
        (b"\x16", "bad"),
        (b"\x00", "bad"),
        (b"\n", "bad"),
        (b"\r\n\r", "bad"),
        (b"G\x00", "bad"),
        (b"M" * 33, "bad"),
        (b"GET a", "bad"),
        (b"GET x", "bad"),
        (b"GET *", "bad"),
        (b"CONNECT ", "bad"),
        (b"GET /#", "bad"),
        (b"GET /%g", "bad"),
        (b"GET /" + b"a" * 8192, "target_long"),
        (b"GET / h", "bad"),
        (b"GET / HTTP/2.0", "version"),
        (b"PRI * HTTP/2.0", "version"),
        (b"GET / HTTP/1.1\n", "bad"),
        (b"GET / HTTP/1.1\r\n ", "bad"),
        (b"GET / HTTP/1.1\r\n\n", "bad"),
        (b"GET / HTTP/1.1\r\na ", "bad"),
        (b"GET / HTTP/1.1\r\na: \x00", "bad"),
        (b"GET / HTTP/1.1\r\na: b\n", "bad"),
        (b"GET / HTTP/1.1\r\n" + b"a" * 257, "large"),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 128 + b"a", "large"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost:", "bad"),
        (b"GET / HTTP/1.1\r\nContent-Length: x\r\n", "bad"),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n", "bad"),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n", "coding"),
        (b"GET / HTTP/1.1\r\na: " + b"b" * 65517, "large"),
        (b"GET / HTTP/1.1\r\n\r\n", "bad"),
    ],
)
def test_refuses_early(start: bytes, wanted: str) -> None:
    """What can no longer become a head is refused at the byte that decides it, not after a wait."""
    assert outcome(start) == wanted
    assert outcome(start[:-1]) is None


def test_limits_bind_exactly() -> None:
    """A head of exactly the size limit passes, one byte more does not, whole or not; the target likewise."""
    data = get(b"a: b\r\n")
    assert isinstance(outcome(data, max_size=len(data)), dict)
    assert outcome(data, max_size=len(data) - 1) == "large"
    assert outcome(data[:-1], max_size=len(data) - 1) == "large"
    assert outcome(data[:-2], max_size=len(data) - 1) is None
    assert isinstance(outcome(on(b"GET /ab HTTP/1.1"), max_target=3), dict)
    assert outcome(on(b"GET /abc HTTP/1.1"), max_target=3) == "target_long"
    assert outcome(b"GET /ab", max_target=3) is None


def test_knows_its_fields() -> None:
    """Every field that the gateway reads is found by name in any case, the first of several counting; no other is."""
    names = [
        *(b"CONTENT-LENGTH", b"Connection", b"content-type", b"Content-Encoding", b"EXPECT"),
        *(b"Authorization", b"x-API-key"),
        *(b"X-Request-ID", b"TraceParent", b"anthropic-version", b"X-Stainless-Retry-Count", b"Upgrade"),
    ]
    values = {b"EXPECT": b"100-continue", b"CONTENT-LENGTH": b"1"}
    others = [b"Request-Id", b"Retry-After", b"retry-after-ms", b"Alt-Svc"]
    fields = b"".join(b"%b: %b\r\n" % (name, values.get(name, b"x")) for name in names + others)
    found = outcome(get(b"x-a: b\r\nCookie: c\r\n" + fields + b"x-request-id: again\r\n"))
    assert isinstance(found, dict)
    assert found["known"] == {b"host": 0, **{name.lower(): 3 + i for i, name in enumerate(names)}}
