"""A slow reader of event streams, the oracle of the tap's tests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Literal

import orjson

Dialect = Literal["none", "chat", "responses", "messages"]


class Slow:
    """Reads a whole stream as WHATWG HTML section 9.2 says, and every event's data with orjson."""

    def __init__(self, dialect: Dialect, stream: bytes, choices: int = 1) -> None:
        self.dialect, self.stream, self.choices = dialect, stream, choices
        self.unreadable = self.failed = self.stopped = False
        self.finishes: dict[int, bool] = {}
        self.sequence, self.name = -1, b""
        self.counts = {"input": -1, "output": -1, "cached": -1}
        self.parts: dict[str, int] = {}
        self.events, self.terminal, self.error, self.data, self.consumed = 0, False, False, b"", 0
        for end, kind, datas in self._split(stream):
            if datas and datas != [b""] and kind != "ping":
                said = self._judge(kind, b"\n".join(datas))
                if said in ("error", "unreadable"):
                    self.error, self.unreadable = True, said == "unreadable"
                    self.data = datas[0] if len(datas) == 1 and self._parse(datas[0]) is not ... else b""
                    break
                self.events += 1
                self.terminal = said in ("last", "failed")
                if said == "failed":
                    self.failed = True
                    self.data = datas[0] if len(datas) == 1 and self._parse(datas[0]) is not ... else b""
            self.consumed = end
            if self.terminal:
                break
        self.tail = stream[self.consumed:]

    def _split(self, stream: bytes) -> Iterator[tuple[int, str, list[bytes]]]:
        """The events: where each ends, its type, its lines of data.

        An LF behind the CR of an empty line belongs to that line where the line before ended in CRLF;
        elsewhere it makes one more empty line, which says nothing.
        """
        kind, datas, at, before = "", [], 3 if stream.startswith(b"\xef\xbb\xbf") else 0, b""
        while match := re.compile(rb"([^\r\n]*)(\r\n|\r|\n)").match(stream, at):
            line, ending, at = match[1], match[2], match.end()
            if line:
                name, _, value = line.partition(b":")
                value = value.removeprefix(b" ")
                if name == b"data":
                    datas.append(value)
                elif name == b"event":
                    kind = value.decode("latin-1")
                before = ending
                continue
            if ending == b"\r\n" and before != b"\r\n":
                at -= 1
            elif ending == b"\r" and before == b"\r\n" and at == len(stream):
                return
            yield at, kind, datas
            kind, datas, before = "", [], b""

    @staticmethod
    def _parse(data: bytes) -> Any:
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            return ...

    def _judge(self, kind: str, data: bytes) -> str:
        if kind == "error":
            return "error"
        if data.strip(b" \t\r\n\v\f") == b"[DONE]":
            return "last" if self.dialect == "chat" else ""
        if not self._is_object(data):
            return "unreadable"
        parsed = self._parse(data)
        top = parsed if isinstance(parsed, dict) else {}
        if self.dialect == "chat":
            if top.get("error"):
                return "error"
            self._choose(top.get("choices"))
            self._count(top.get("usage"))
            return ""
        if not kind:
            if top.get("error"):
                return "error"
            kind = top.get("type") if isinstance(top.get("type"), str) else ""
        if kind == "error":
            return "error"
        if self.dialect == "responses" and type(number := top.get("sequence_number")) is int:
            self.sequence = max(self.sequence, number)
        if kind == "response.created" and self.dialect == "responses" and isinstance(top.get("response"), dict):
            name = str(top["response"].get("id", "")).encode()
            self.name = name if 0 < len(name) <= 64 else self.name
        if self.dialect == "messages":
            delta = top.get("delta")
            if kind in ("message_start", "message_delta") and isinstance(delta, dict):
                self.stopped |= isinstance(delta.get("stop_reason"), str) and bool(delta["stop_reason"])
            if kind in ("message_start", "message_delta"):
                self._count(top.get("usage"))
                self._count(top["message"].get("usage") if isinstance(top.get("message"), dict) else None)
            return "last" if kind == "message_stop" else ""
        if kind in ("response.completed", "response.incomplete", "response.failed"):
            self._count(top.get("usage"))
            self._count(top["response"].get("usage") if isinstance(top.get("response"), dict) else None)
            return "failed" if kind == "response.failed" else "last"
        return ""

    @staticmethod
    def _is_object(data: bytes) -> bool:
        try:
            return isinstance(json.loads(data), dict)
        except ValueError:
            return False

    def _choose(self, choices: Any) -> None:
        """Which choices have begun, and which have finished."""
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                index, reason = choice.get("index", 0), choice.get("finish_reason")
                good = type(index) is int and 0 <= index < 63
                self.finishes.setdefault(index if good else 63, False)
                if isinstance(reason, str) and reason and good:
                    self.finishes[index] = True

    @property
    def whole(self) -> bool:
        """Whether the stream would be complete if it ended here."""
        if self.dialect == "chat":
            return bool(self.finishes) and all(self.finishes.values()) and len(self.finishes) >= self.choices
        return self.dialect == "messages" and self.stopped

    def _count(self, usage: Any) -> None:
        if not isinstance(usage, dict):
            return
        before, after = ("prompt", "completion") if self.dialect == "chat" else ("input", "output")
        details = usage.get(f"{before}_tokens_details")
        cached = details.get("cached_tokens") if isinstance(details, dict) else None
        if self.dialect == "messages":
            self._count_parts(usage)
            return
        said = {"input": usage.get(f"{before}_tokens"), "output": usage.get(f"{after}_tokens"),
                "cached": cached}
        said = {name: n for name, n in said.items() if type(n) is int and 0 <= n < 2**63}
        self.counts |= said
        total = usage.get("total_tokens")
        if type(total) is int and 0 <= total < 2**63 and total > said.get("input", 0) + said.get("output", 0):
            whole = "output" if "input" in said else "input"
            self.counts[whole] = total - said.get("output" if whole == "input" else "input", 0)

    def _count_parts(self, usage: dict[str, Any]) -> None:
        """Anthropic's input is what no cache had to do with, what was written to one, and what was read from one."""
        names = {"input_tokens": "fresh", "cache_creation_input_tokens": "written", "cache_read_input_tokens": "cached",
                 "output_tokens": "output"}
        self.parts |= {name: n for key, name in names.items()
                       if type(n := usage.get(key)) is int and 0 <= n < 2**63}
        self.counts |= {name: self.parts[name] for name in ("cached", "output") if name in self.parts}
        if "fresh" in self.parts:
            self.counts["input"] = sum(min(self.parts.get(name, 0), 2**60) for name in ("fresh", "written", "cached"))

    def answer(self, body: bytes) -> dict[str, Any]:
        """A whole answer's reading: the keys of `tap_answer`, with the error object for its bytes."""
        top = self._parse(body)
        error, failed, valid = False, False, isinstance(top, dict)
        if valid:
            self._count(top.get("usage"))
            error = (top.get("type") == "error" if self.dialect == "messages" else
                     bool(top.get("error")) and not top.keys() & ({"id"} if self.dialect == "responses" else
                                                                  {"choices", "data"}))
            failed = (self.dialect == "responses" and not error and top.get("status") == "failed"
                      and bool(top.get("error")))
        return {**self.counts, "events": 0, "terminal": valid and not error, "error": error, "valid": valid,
                "data": top.get("error", top) if error or failed else ...}

    def told(self) -> dict[str, Any]:
        """The same keys as `tap_stream`'s."""
        return {**self.counts, "events": self.events, "terminal": self.terminal, "error": self.error,
                "data": self.data, "consumed": self.consumed, "tail": self.tail, "whole": self.whole,
                "failed": self.failed, "sequence": self.sequence, "name": self.name, "unreadable": self.unreadable,
                "relayed": self.stream[:self.consumed]}
