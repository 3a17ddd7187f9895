"""What the fuzzer begins with: inputs of every kind, the words of their languages, and where their pieces end."""

from __future__ import annotations

from dataclasses import dataclass

REQUESTS = [
    b"POST /v1/chat/completions?a=%41 HTTP/1.1\r\nHost: [::1]:80\r\nConnection: keep-alive, x-a\r\nX-a: b\r\n"
    b"Authorization: Bearer sk-0\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{}",
    b"\r\nOPTIONS * HTTP/1.0\r\nTE: trailers\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /v1/messages HTTP/1.1\r\nhost: edge.example:8080\r\nx-api-key: k\r\nanthropic-version: 2023-06-01\r\n"
    b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\ntraceparent: 0\r\nx-stainless-retry-count:1\r\n\r\n",
    b"GET /v1 HTTP/1.1\r\nHost:a\r\na:b\r\nc:\t d \t\r\ne:\r\nCF-Ray: a\r\nx-edge-a: b\r\nx-forwarded-for: c\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"DELETE /a[b]=c,d;e?f?g HTTP/1.1\r\nHost: a_b~c!$&'()*+;=%20:\r\n\r\n",
    b"PUT / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: upgrade, http2-settings,,close\r\nVia: x\r\n\r\n",
    b"PATCH / HTTP/1.1\r\nHost: a\r\n" + b"n: v\r\n" * 126 + b"\r\n", b"HEAD / HTTP/1.0\r\n\r\n",
]
RESPONSES = [
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\nx-request-id: a\r\n\r\n0\r\n\r\n",
    b"HTTP/1.0 429 \r\nRetry-After: 1\r\nContent-Length: 2\r\nSet-Cookie: a\tb\r\nretry-after-ms: 5\r\n\r\n{}",
    b"HTTP/1.1 204\r\nConnection: x, keep-alive\r\nX: y\r\nServer: z\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\ncontent-type: a\r\ncontent-type: b\r\n\r\n",
    b"HTTP/1.1 103 Early \xe9 Hints\r\nLink: </a>; rel=preload\r\n\r\nHTTP/1.1 500 No\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
]
CHUNKED = [
    b"5;a=\"b\\\"\";c\r\nhello\r\n00A\r\n0123456789\r\n0\r\na: b\r\n\r\nGET / HTTP/1.1", b"fffffffffffffff\r\nx",
    b"0\r\n\r\n", b"1;abc\r\nx\r\n" * 9 + b"0;d=e;f=\"\"\r\nx-trailer: y\r\nz:\r\n\r\n",
    b"1;" + b"a" * 1023 + b"\r\nx\r\n0\r\n\r\n", b"0\r\n" + b"a: bcd\r\n" * 1023 + b"\r\n",
]
TEXTS = [
    b'{"model": "gpt-5.5", "stream": true, "max_tokens": 1e3, "messages": [{"content": "\\ud83d\\ude00"}]}',
    b'{"id":"a","model":"b","usage":{"prompt_tokens":12,"completion_tokens":-0.5e-7,"total_tokens":1}}',
    b'{"error":{"message":"\xe2\x82\xac","type":"invalid_request_error","param":null,"code":"a"}}',
    b'{"n":-12.5e+3,"x":[[[]],{}],"\xc3\xa9t\xc3\xa9":"' + b"long text, " * 9 + b'\\n\\u00e9\xf0\x9f\x98\x80"}',
    b'{\n  "a/b": [1, 2.50, -0, 1E-400],\n  "\\u006eo": false\n}\n', b'{"n":-9223372036854775808}', b'[{"n":1e308}]',
    b'{"messages":[{"role":"user","content":"' + b"\\\\\\\"" * 40 + b"\xe4\xbd\xa0\xe5\xa5\xbd" * 30 + b'"}]}',
]
CHAT = [
    b'{"id":"c","choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":9,"completion_tokens":12,'
    b'"prompt_tokens_details":{"cached_tokens":3}}}',
    b'{"error":{"message":"no","code":429}}', b'{"data":[{"embedding":[0.1]}],"usage":{"prompt_tokens":8}}',
    b'{"error": "" , "usage":null}',
]
RESPONSE = [
    b'{"id":"r","error":{"code":"x"},"status":"failed","usage":{"input_tokens":36,"input_tokens_details":'
    b'{"cached_tokens":2},"output_tokens":87}}',
    b'{"error":{"message":"no"}}', b'{"error":[ ],"usage":{}}',
]
MESSAGE = [
    b'{"type":"message","usage":{"input_tokens":3,"output_tokens":4,"cache_read_input_tokens":2,'
    b'"cache_creation_input_tokens":1},"x":[[[null]]]}',
    b'{"type":"error","error":{"type":"overloaded_error"}}', b'{"type":"error","message":"no"}',
]
CHAT_STREAMS = [
    b'data: {"choices":[{"delta":{"content":"a"}}],"usage":null}\n\ndata: {"usage":{"prompt_tokens":1,'
    b'"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":1}}}\n\ndata: [DONE]\n\n',
    b'\xef\xbb\xbf: hi\r\n\r\ndata: {"choices":\r\ndata: [], "usage" : {"prompt_tokens":7}}\r\n\r\ndata:[DONE]\r\r',
    b'data: {"choices":[]}\n\nevent: ping\ndata: {}\n\ndata: {"error":{"message":"overloaded"}}\n\n',
    b"id: 1\rretry: 5\rdata: x\r\revent: error\ndata\ndata: {}\n\n",
]
RESPONSE_STREAMS = [
    b'event: response.created\ndata: {"type":"response.created","response":{"usage":null}}\n\nevent: response.completed'
    b'\ndata: {"type":"response.completed","response":{"usage":{"input_tokens":5,"input_tokens_details":{'
    b'"cached_tokens":2},"output_tokens":3}}}\n\n',
    b'data: {"type":"response.failed","response":{"error":{"code":"x"},"usage":{"output_tokens":1}}}\r\n\r\n',
    b'data: {"type":"response.output_text.delta","delta":"Hi"}\n\ndata: {"type":"error","message":"m"}\n\n',
]
MESSAGE_STREAMS = [
    b'event: message_start\r\ndata: {"type":"message_start","message":{"usage":{"input_tokens":25,'
    b'"cache_creation_input_tokens":1,"cache_read_input_tokens":12,"output_tokens":1}}}\r\n\r\n'
    b'event: ping\ndata: {"type":"ping"}\n\nevent: message_delta\ndata: {"type":"message_delta","usage":'
    b'{"output_tokens":15}}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n',
    b'event: content_block_delta\ndata: {"delta":{"text":"error"}}\n\nevent: error\ndata: {"type":"error","error":'
    b'{"type":"overloaded_error"}}\n\n: ping\n\n',
    b'data: {"type":"message_start","message":{"usage":{"input_tokens":1}}}\n\ndata: {"type":"message_stop"}\n\n',
]

LINES = [b"\r\n", b"\r", b"\n", b"\r\n\r\n", b"\n\n", b"\r\r", b"\r\n ", b"\0", b"a" * 300]
HTTP = [
    *LINES, *(b": ", b",", b" ", b"\t", b";", b"%41", b"%", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0"),
    *(b"GET ", b"CONNECT ", b"Content-Length: 5\r\n", b"content-length: 0\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(b"identity", b"Transfer-Encoding: gzip, chunked\r\n", b"Host: b\r\n", b"Connection: close\r\n", b"chunked"),
    b"Connection: a,b,c\r\n",
    *(b"Connection: " + b"x, " * 32 + b"y\r\n", b"a: b\r\n" * 130, b"n" * 257 + b":v\r\n", b"Upgrade: h2c\r\n"),
    *(b"Expect: 100-continue\r\n", b"Authorization: Bearer a\r\n", b"X-API-Key: a\r\n", b"Content-Type: a\r\n"),
    *(b"[::1]", b"[::ffff:1.2.3.4]:80", b"http://a/", b"/" + b"t" * 60, b"204 ", b"101 ", b"keep-alive", b"x-edge-"),
    *(b"x-forwarded-", b"cf-", b"retry-after: 1\r\n", b"a:b\r\n", b"a: b\r\n c\r\n", b"M" * 33),
]
CHUNKS = [
    *LINES, *(b"0\r\n\r\n", b"5\r\nhello\r\n", b"1\r\nx\r\n", b";a=b", b';a="b c"', b'"', b"\\", b";", b"=", b"f" * 15),
    *(b"0" * 16, b"a: b\r\n", b"a: b\r\n" * 1400, b"1;aaa\r\nx\r\n" * 260, b"GET / HTTP/1.1\r\n\r\n"),
]
JSON = [
    *(b"{", b"}", b"[", b"]", b":", b",", b'"', b"\\", b"true", b"false", b"null", b"{}", b"[]", b'""', b"1", b"-"),
    *(b"e5", b".5", b" ", b"\n  ", b"\\u", b"\\ud83d", b"\\ude00", b"\\n", b"\\\\", b"\xc3\xa9", b"\xe2\x82\xac"),
    *(b"\xf0\x9f\x98\x80", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\x80", b"[" * 257, b'{"a":' * 256),
    *(b"]" * 257, b"a" * 64, b'"model":"m",', b'"n":1,', b'"x":', b'"usage":{', b'"error":', b'"id":', b"9" * 310),
    b"0." + b"0" * 330 + b"1",
    *(b'"mod\\u0065l":1,', b'"prompt_tokens":5', b'"completion_tokens":6', b'"input_tokens":7', b'"output_tokens":8'),
    *(b'"cached_tokens":9', b'"prompt_tokens_details":{', b'"input_tokens_details":{', b'"cache_read_input_tokens":3'),
    *(b'"cache_creation_input_tokens":2', b'"type":"error"', b'"type":"message"', b'"choices":[]', b'"data":[]'),
    *(b'"message":{', b'"response":{'),
]
EVENTS = [
    *LINES, *JSON, *(b"data: ", b"data:", b"data", b"event: ", b"event:", b": ping\n\n", b"id: 1\n", b"\xef\xbb\xbf"),
    *(b"data: [DONE]\n\n", b"[DONE]", b"event: error\n", b"event: ping\n", b"event: message_start\n", b"message_stop"),
    *(b"event: message_delta\n", b"event: response.completed\n", b"response.failed", b"response.incomplete"),
    *(b'data: {"error":{"message":"m"}}\n\n', b'data: {"usage":{"prompt_tokens":4}}\n\n', b"data: {\ndata: }\n\n"),
    *(b'"type":"message_start"', b'"type":"message_stop"', b'"type":"response.completed"', b'"error":null'),
]


@dataclass(frozen=True, slots=True)
class Language:
    """Where a target begins: inputs, words to put in, and the bytes behind which a piece ends."""

    seeds: list[bytes]
    words: list[bytes]
    seams: bytes


LANGUAGES = {
    "request": Language(REQUESTS, HTTP, b"\n :,"), "response": Language(RESPONSES, HTTP, b"\n :,"),
    "chunked": Language(CHUNKED, CHUNKS, b"\n;="), "members": Language(TEXTS, JSON, b'{}[],:"'),
    "body-chat": Language(CHAT, JSON, b'{}[],:"'), "body-responses": Language(RESPONSE, JSON, b'{}[],:"'),
    "body-messages": Language(MESSAGE, JSON, b'{}[],:"'), "stream-chat": Language(CHAT_STREAMS, EVENTS, b"\n\r{},:"),
    "stream-responses": Language(RESPONSE_STREAMS, EVENTS, b"\n\r{},:"),
    "stream-messages": Language(MESSAGE_STREAMS, EVENTS, b"\n\r{},:"),
}
