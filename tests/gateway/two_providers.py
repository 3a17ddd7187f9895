"""A gateway before two providers that tell what they were asked for, and keys for some models."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from tests.gateway.client import Answer, ask, request
from tests.support.gateway import KEY, Gateway, configuration
from tests.support.provider import Line, Provider, answer

BOUNDARY = "edge-0123"
HELD = 100_000  # limits.body_bytes
KEYS = {
    "some": {"models": ["alias", "opus", "sim-ok", "org/model"]},
    "scoped": {"models": ["alias", "sim-ok"], "scopes": ["relay", "chat", "models"]},
}


def key_of(name: str) -> str:
    """A key's own text."""
    return KEY if name == "test" else f"sk-{name}-0123456789abcdef"


@dataclass(frozen=True)
class Seen:
    """A request as a provider has had it."""

    provider: str
    line: str
    body: bytes


class Stage:
    """A gateway before two providers; `seen` is what they have had."""

    def __init__(self, stack: ExitStack, some: list[str] | None = None, **changes: Any) -> None:
        self.seen: SimpleQueue[Seen] = SimpleQueue()
        first, second = (stack.enter_context(Provider(self._script(name))) for name in ("first", "second"))
        config = configuration(
            "",
            limits={"body_bytes": HELD},
            models={"alias": "second/real", "org/model": "second", "claude": "third", "opus": "third/real",
                    "sim-*": "first", "tp*": "first"},
            **changes,
        )
        config["providers"] = {
            "first": {"kind": "openai", "base_url": f"{first.url}/v1"},
            "second": {"kind": "openai", "base_url": f"{second.url}/v1"},
            "third": {"kind": "anthropic", "base_url": first.url},
        }
        config["routes"] = {"/v1/rerank": "second", "/score*": "first"}
        keys = KEYS | ({"some": {"models": some}} if some else {})
        config["keys"] += [{"name": name, "key": f"env:KEY_{name.upper()}", **more} for name, more in keys.items()]
        self.edge = stack.enter_context(Gateway(config, environ={f"KEY_{name.upper()}": key_of(name) for name in KEYS}))

    def _script(self, name: str) -> Any:
        def script(line: Line) -> None:
            while data := line.request():
                head, _, body = data.partition(b"\r\n\r\n")
                self.seen.put(Seen(name, head.split(b"\r\n")[0].decode().removesuffix(" HTTP/1.1"), body))
                line.send(answer(b'{"id": "x"}'))

        return script

    def ask(
        self,
        body: Any = None,
        *,
        path: str,
        key: str = "test",
        method: str = "POST",
        content_type: str | None = "application/json",
        coding: str | None = None,
    ) -> tuple[Answer, Seen | None]:
        """The answer, and what a provider has seen."""
        found = ask(
            self.edge.port,
            request(
                body,
                path=path,
                method=method,
                headers={
                    "authorization": f"Bearer {key_of(key)}",
                    "content-type": content_type,
                    "content-encoding": coding,
                },
            ),
        )
        return found, None if self.seen.empty() else self.seen.get()


def form(*fields: tuple[str, str | bytes, str], boundary: str = BOUNDARY) -> bytes:
    """A form of (name with what is behind it, content, more lines)."""
    parts = [
        f"--{boundary}\r\nContent-Disposition: form-data; name={name}\r\n{more}\r\n".encode()
        + (content if isinstance(content, bytes) else content.encode())
        + b"\r\n"
        for name, content, more in fields
    ]
    return b"".join(parts) + f"--{boundary}--\r\n".encode()


FILE = ('"file"; filename="a.mp3"', b"\r\n\x00--edge-012\r\n" + bytes(range(256)), "Content-Type: audio/mpeg\r\n")
FORM = f"multipart/form-data; boundary={BOUNDARY}"
JSON = "application/json"
