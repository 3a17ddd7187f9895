"""The requests of a measurement: what is sent, one answer read in full, and wrk's many."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from .processes import LOAD_CORE, Trouble, on_core

PATH = "/v1/chat/completions"
MODEL = "gpt-4o-mini"
WORDS = "Tell me about the über-fast \"edge\" proxy, line by line:\nfirst, second, third. "


def key(name: str) -> str:
    """The secret of a key."""
    return f"sk-bench-{name}-00000000000000000000"


KEY, SPENT_KEY, WRONG_KEY = map(key, ("good", "spent", "wrong"))


def chat_body(size: int, stream: bool = False) -> bytes:
    """A chat request of exactly `size` bytes, with escapes and characters beyond ASCII in it."""
    def encoded(content: str) -> bytes:
        return json.dumps({"model": MODEL, "messages": [
            {"role": "system", "content": "You are a helpful assistant. Answer briefly, in plain words."},
            {"role": "user", "content": content}], "temperature": 0.7, "max_tokens": 256, "user": "user-1234",
            "stream": stream}).encode()

    content = WORDS * ((size - len(encoded(""))) // (len(json.dumps(WORDS)) - 2))
    left = size - len(encoded(content))
    if left < 0:
        raise Trouble(f"a chat request does not fit into {size} bytes")
    return encoded(content + "x" * left)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, read in full."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(port: int, headers: Mapping[str, str], body: bytes | None = None, path: str = PATH) -> Answer:
    """One request on a connection of its own: a POST where there is a body, a GET where there is none."""
    connection = HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        connection.request("GET" if body is None else "POST", path, body, dict(headers))
        response = connection.getresponse()
        fields = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, fields, response.read())
    except (OSError, HTTPException) as error:
        raise Trouble(f"no answer from port {port}: {error!r}") from error
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class Run:
    """What wrk saw: answers, those not 2xx, failed connections and time-outs, latencies in microseconds."""

    answers: int
    microseconds: int
    bytes: int
    not_ok: int
    failed: int
    p50: int
    p99: int


def wrk(port: int, files: tuple[Path, Path], connections: int, seconds: float) -> Run:
    """Keeps `connections` busy for `seconds`; `files` are the body and the header lines."""
    script, url = Path(__file__).with_name("post.lua"), f"http://127.0.0.1:{port}{PATH}"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "20s",
               "-s", str(script), url, "--", *map(str, files)]
    out = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False,
                         preexec_fn=lambda: on_core(LOAD_CORE))
    for line in out.stdout.splitlines():
        if line.startswith("RESULT "):
            return Run(**json.loads(line.removeprefix("RESULT ")))
    raise Trouble(f"wrk gave no result: {(out.stdout + out.stderr)[-500:]}")
