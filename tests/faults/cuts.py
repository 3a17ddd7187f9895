"""What an SDK's user sees of an answer that the provider breaks off anywhere: all of it, or an exception.

`python -m tests.faults.cuts` tries every byte of a plain and of a streamed answer, closed and reset there, with
both SDKs, and each event at which a stream can stall, end or fail. Exit code 1: a promise was broken.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import anthropic
import openai

from tests.faults.load import progress, table, verdict
from tests.simulator.wire import Wire, request
from tests.support.gateway import KEY, Gateway, configuration
from tests.support.simulator import Simulator

ASKED = [{"role": "user", "content": "hi"}]
TOKENS = 2                  # of an answer's text: every kind of event is there, and bytes enough
ENDS = ("cut", "reset")
IDLE = 0.2                  # seconds: the gateway's patience with a provider that stalls
RANDOM = 12                 # positions of a sample, beside all boundaries


@dataclass(slots=True)
class Seen:
    """What came out of the SDK: the text, how the answer said that it ended, and what was raised."""

    text: str = ""
    finish: str | None = None
    whole: bool = False         # the SDK showed the answer's end, where it has a sign of it
    error: Exception | None = None


Ask = Callable[["Sdks", str, Seen], None]


class Sdks:
    """Both SDKs' clients on one gateway; they retry nothing."""

    def __init__(self, gateway: Gateway, stack: ExitStack) -> None:
        self.openai = stack.enter_context(openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0))
        self.anthropic = stack.enter_context(
            anthropic.Anthropic(base_url=gateway.url, api_key=KEY, max_retries=0))


def _fault(spec: str) -> dict[str, Any]:
    return {"extra_headers": {"x-simulate": f"tokens={TOKENS};{spec}"}}


def chat(sdks: Sdks, spec: str, seen: Seen) -> None:
    """A chat completion."""
    made = sdks.openai.chat.completions.create(model="gpt-4o", messages=ASKED, **_fault(spec))
    seen.text, seen.finish, seen.whole = made.choices[0].message.content, made.choices[0].finish_reason, True


def chat_stream(sdks: Sdks, spec: str, seen: Seen) -> None:
    """The same as a stream."""
    for chunk in sdks.openai.chat.completions.create(model="gpt-4o", messages=ASKED, stream=True, **_fault(spec)):
        for choice in chunk.choices:
            seen.text += choice.delta.content or ""
            seen.finish = choice.finish_reason or seen.finish
    seen.whole = True


def responses(sdks: Sdks, spec: str, seen: Seen) -> None:
    """A response."""
    made = sdks.openai.responses.create(model="gpt-4o", input="hi", **_fault(spec))
    seen.text, seen.finish, seen.whole = made.output_text, made.status, True


def responses_stream(sdks: Sdks, spec: str, seen: Seen) -> None:
    """The same as a stream."""
    for event in sdks.openai.responses.create(model="gpt-4o", input="hi", stream=True, **_fault(spec)):
        if event.type == "response.output_text.delta":
            seen.text += event.delta
        elif event.type in ("response.completed", "response.incomplete"):
            seen.finish, seen.whole = event.response.status, True


def messages(sdks: Sdks, spec: str, seen: Seen) -> None:
    """A message."""
    made = sdks.anthropic.messages.create(
        model="claude-opus-4-6", max_tokens=64, messages=ASKED, **_fault(spec))
    seen.text, seen.finish, seen.whole = made.content[0].text, made.stop_reason, True


def messages_stream(sdks: Sdks, spec: str, seen: Seen) -> None:
    """The same as a stream."""
    for event in sdks.anthropic.messages.create(
            model="claude-opus-4-6", max_tokens=64, messages=ASKED, stream=True, **_fault(spec)):
        if event.type == "content_block_delta":
            seen.text += event.delta.text
        elif event.type == "message_delta":
            seen.finish = event.delta.stop_reason
        elif event.type == "message_stop":
            seen.whole = True


ANSWERS: dict[str, Ask] = {"chat": chat, "chat stream": chat_stream, "responses": responses,
                           "responses stream": responses_stream, "messages": messages,
                           "messages stream": messages_stream}
STREAMS = tuple(name for name in ANSWERS if name.endswith("stream"))
ERRORS = (openai.APIError, anthropic.APIError)


def ask(name: str, sdks: Sdks, spec: str) -> Seen:
    """What the SDK gave and raised."""
    seen = Seen()
    try:
        ANSWERS[name](sdks, spec, seen)
    except Exception as error:
        seen.error = error
    return seen


@dataclass
class Whole:
    """An answer that nothing befell: what the SDK shows of it, and its bytes as the provider sends them."""

    seen: Seen
    data: bytes

    @property
    def events(self) -> int:
        """How many events it has as a stream."""
        return self.data.count(b"data: ")

    @property
    def needed(self) -> int:
        """How many of its bytes hold all that is to be said; what follows is the framing's end."""
        return len(self.data.removesuffix(b"\r\n0\r\n\r\n"))

    def boundaries(self) -> set[int]:
        """Positions at the end of each line of body and framing, and of the head's first and last line, and beside."""
        head = self.data.index(b"\r\n\r\n")
        ends = [self.data.index(b"\n"), *(at for at in range(head, len(self.data)) if self.data[at:at + 1] == b"\n")]
        near = {at + beside for at in ends for beside in (-1, 0, 1, 2)}
        return {at for at in near | {0, 1, len(self.data) - 1, len(self.data)} if at <= len(self.data)}

    def sample(self, seed: int) -> list[int]:
        """The boundaries, and RANDOM positions more."""
        return sorted(self.boundaries() | set(random.Random(seed).sample(range(len(self.data)), RANDOM)))


def whole(name: str, sdks: Sdks, simulator: Simulator) -> Whole:
    """Asks for an answer without a fault, through the gateway and then the provider itself."""
    seen = ask(name, sdks, "latency=0")
    assert seen.error is None and seen.text and seen.finish and seen.whole, (name, seen)
    asked = simulator.requests()[-1]
    fields = {key: value for key, value in asked["headers"] if key in ("anthropic-version", "x-simulate")}
    with Wire(simulator.port) as wire:
        data = wire.send(request(asked["body"].encode(), path=asked["target"], headers=fields)).answer().data
    assert len(data) == asked["sent"], name
    return Whole(seen, data)


def broken(seen: Seen, good: Whole, *, may_succeed: bool, may_fail: bool = True) -> str | None:
    """What promise an SDK's user would miss, None when all were kept."""
    if seen.error is None:
        if (seen.text, seen.finish, seen.whole) != (good.seen.text, good.seen.finish, True):
            return f"a part passed for the whole: {seen}"
        return None if may_succeed else f"a success out of nothing: {seen}"
    if not isinstance(seen.error, ERRORS):
        return f"not an error of the SDK: {seen.error!r}"
    if not good.seen.text.startswith(seen.text):
        return f"not the provider's text: {seen}"
    if seen.finish is not None and (seen.finish, seen.text) != (good.seen.finish, good.seen.text):
        return f"an invented finish: {seen}"
    return None if may_fail else f"a whole answer was taken away: {seen}"


@dataclass
class Tried:
    """One answer under one kind of fault."""

    name: str
    fault: str
    tries: int = 0
    successes: int = 0
    broken: list[str] = field(default_factory=list)

    def note(self, spec: str, seen: Seen, wrong: str | None) -> None:
        """One try."""
        self.tries += 1
        self.successes += seen.error is None
        if wrong is not None:
            self.broken.append(f"{self.name}, {spec}: {wrong}")


def try_cuts(name: str, end: str, sdks: Sdks, good: Whole, positions: list[int]) -> Tried:
    """The answer ends at each of the positions."""
    tried = Tried(name, end)
    for at in positions:
        spec = f"{end}={at}"
        seen = ask(name, sdks, spec)
        # A reset may overtake bytes that were sent before it.
        must = at >= len(good.data) and end == "cut"
        tried.note(spec, seen, broken(seen, good, may_succeed=at >= good.needed, may_fail=not must))
    return tried


def event_faults(good: Whole) -> Iterator[tuple[str, str]]:
    """Kind and spec of all that can befall a stream between its events."""
    for at in range(good.events):
        yield "stall", f"stall={at}"
        yield "error-event", f"error-event={at},overloaded"
    yield "no-terminal", "no-terminal"      # of a response; elsewhere nothing is missing then that can't be added


def try_events(name: str, sdks: Sdks, good: Whole) -> list[Tried]:
    """The stream stalls or fails at each of its events: never a success. Without its last event it is one where that
    says no more than the one before."""
    tried: dict[str, Tried] = {}
    for kind, spec in event_faults(good):
        seen = ask(name, sdks, spec)
        whole = kind == "no-terminal" and not name.startswith("responses")
        tried.setdefault(kind, Tried(name, kind)).note(spec, seen, broken(seen, good, may_succeed=whole,
                                                                          may_fail=not whole))
    return list(tried.values())


def stage(stack: ExitStack) -> tuple[Simulator, Gateway, Sdks]:
    """A simulator, a gateway before it that waits for it only briefly, and the SDKs."""
    simulator = stack.enter_context(Simulator())
    config = configuration(simulator.url)
    for provider in config["providers"].values():
        provider["timeouts"] = {"first_byte": 5, "idle": IDLE, "total": 20}
    gateway = stack.enter_context(Gateway(config))
    return simulator, gateway, Sdks(gateway, stack)


def main() -> int:
    """Every position of every answer."""
    with ExitStack() as stack:
        simulator, _, sdks = stage(stack)
        tried: list[Tried] = []
        for name in ANSWERS:
            good = whole(name, sdks, simulator)
            for end in ENDS:
                progress(f"{name}: {end} at {len(good.data) + 1} positions")
                tried.append(try_cuts(name, end, sdks, good, list(range(len(good.data) + 1))))
            if name in STREAMS:
                progress(f"{name}: at {good.events} events")
                tried += try_events(name, sdks, good)
    table(["answer", "fault", "tried", "whole", "an error", "broken"], [
        [one.name, one.fault, str(one.tries), str(one.successes), str(one.tries - one.successes), str(len(one.broken))]
        for one in tried])
    wrong = [text for one in tried for text in one.broken]
    for text in wrong[:20]:
        print(text)
    return verdict([("complete success or an error of the SDK, nowhere a part that passes for the whole", not wrong)])


if __name__ == "__main__":
    sys.exit(main())
