"""Drives one client of PyPI, in an environment of its own: `python drive.py CLIENT`.

Reads one JSON line per request from standard input and writes one JSON line per outcome, as drive.mjs does for npm's.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

os.environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "CRITICAL", "LANGSMITH_TRACING": "false"}

PLACE = "get_weather"
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": PLACE, "description": "The weather of a city", "parameters": WEATHER}
TOOL = {"type": "function", "function": FUNCTION}

Ask = dict[str, Any]
Seen = dict[str, Any]
Way = Callable[[Ask, Seen], None]
Calls = list[tuple[str, str, str]]      # id, name, arguments as JSON


def seconds(ask: Ask) -> float:
    """The client's own time limit."""
    return (ask.get("timeout") or 20_000) / 1000


class Left(Exception):
    """The user has heard enough and has left."""


def hear(ask: Ask, seen: Seen, text: str) -> None:
    """Notes a piece of a stream's text; with `leave` the first one is the last that the user wants."""
    seen["text"] += text
    if ask.get("leave") and seen["text"]:
        raise Left


def until_text(messages: list[Any], once: Callable[[list[Any]], Calls], seen: Seen) -> None:
    """Asks, runs the tools and sends their results, until the model calls none."""
    while calls := once(messages):
        seen["calls"] += [[name, json.loads(arguments)] for _, name, arguments in calls]
        messages.append({"role": "assistant", "content": None, "tool_calls": [
            {"id": key, "type": "function", "function": {"name": name, "arguments": arguments}}
            for key, name, arguments in calls]})
        messages += [{"role": "tool", "tool_call_id": key, "content": "sunny"} for key, _, _ in calls]


def chat_answer(answer: Any, ask: Ask, seen: Seen) -> Calls:
    """Reads a chat completion, of OpenAI's SDK or litellm's: its text goes into `seen`, its calls are given back."""
    if not ask["stream"]:
        message = answer.choices[0].message
        seen["text"] += message.content or ""
        return [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or []]
    parts: dict[int, list[str]] = {}
    for chunk in answer:
        for choice in chunk.choices:
            hear(ask, seen, choice.delta.content or "")
            for call in choice.delta.tool_calls or []:
                kept = parts.setdefault(call.index, ["", "", ""])
                kept[0] = kept[0] or call.id or ""
                kept[1] = kept[1] or call.function.name or ""
                kept[2] += call.function.arguments or ""
    return [(key, name, arguments) for key, name, arguments in parts.values()]


def responses_answer(answer: Any, ask: Ask, seen: Seen) -> list[Any]:
    """Reads a response: its text goes into `seen`, its items are given back."""
    if not ask["stream"]:
        seen["text"] += "".join(part.text for item in answer.output if item.type == "message" for part in item.content)
        return list(answer.output)
    output: list[Any] = []
    for event in answer:
        seen["kinds"].append(str(getattr(event.type, "value", event.type)))
        if event.type == "response.output_text.delta":
            hear(ask, seen, event.delta)
        elif event.type == "response.completed":
            output = list(event.response.output)
        elif event.type == "response.failed":
            error = event.response.error
            seen["failed"] = error if isinstance(error, dict) else {"code": error.code, "message": error.message}
    return output


def responses_loop(ask: Ask, once: Callable[[list[Any]], Any], seen: Seen) -> None:
    """Asks, and sends the results of calls, until there are none."""
    given: list[Any] = [{"role": "user", "content": ask["prompt"]}]
    while True:
        output = responses_answer(once(given), ask, seen)
        calls = [item for item in output if item.type == "function_call"]
        if not calls:
            return
        seen["calls"] += [[call.name, json.loads(call.arguments)] for call in calls]
        given += [item if isinstance(item, dict) else item.model_dump(exclude_none=True) for item in output]
        given += [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"} for call in calls]


def openai() -> dict[str, Way]:
    """OpenAI's SDK."""
    from openai import OpenAI

    def client(ask: Ask) -> OpenAI:
        return OpenAI(base_url=ask["base"], api_key=ask["key"], max_retries=ask["retries"], timeout=seconds(ask),
                      default_headers=ask["headers"])

    def chat(ask: Ask, seen: Seen) -> None:
        with client(ask) as made:
            more = {"tools": [TOOL]} if ask["tool"] else {}
            until_text([{"role": "user", "content": ask["prompt"]}], lambda messages: chat_answer(
                made.chat.completions.create(model=ask["model"], messages=messages, stream=ask["stream"], **more),
                ask, seen), seen)

    def responses(ask: Ask, seen: Seen) -> None:
        with client(ask) as made:
            more = {"tools": [{"type": "function", **FUNCTION}]} if ask["tool"] else {}
            responses_loop(ask, lambda given: made.responses.create(
                model=ask["model"], input=given, stream=ask["stream"], **more), seen)
    return {"chat": chat, "responses": responses}


def anthropic() -> dict[str, Way]:
    """Anthropic's SDK."""
    from anthropic import Anthropic

    def messages(ask: Ask, seen: Seen) -> None:
        said: list[Any] = [{"role": "user", "content": ask["prompt"]}]
        more = {"tools": [{"name": PLACE, "input_schema": WEATHER}]} if ask["tool"] else {}
        with Anthropic(base_url=ask["base"], api_key=ask["key"], max_retries=ask["retries"], timeout=seconds(ask),
                       default_headers=ask["headers"]) as made:
            while True:
                asked = {"model": ask["model"], "max_tokens": 8192, "messages": said, **more}
                if ask["stream"]:
                    with made.messages.stream(**asked) as stream:
                        for text in stream.text_stream:
                            hear(ask, seen, text)
                        answer = stream.get_final_message()
                else:
                    answer = made.messages.create(**asked)
                    seen["text"] += "".join(block.text for block in answer.content if block.type == "text")
                calls = [block for block in answer.content if block.type == "tool_use"]
                if not calls:
                    return
                seen["calls"] += [[call.name, call.input] for call in calls]
                said += [{"role": "assistant", "content": answer.content}, {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"} for call in calls]}]
    return {"messages": messages}


def litellm() -> dict[str, Way]:
    """litellm: every surface through its one function; what a provider's name stands before is the model."""
    import litellm as made
    made.suppress_debug_info = True
    made.telemetry = False

    def common(ask: Ask, provider: str) -> dict[str, Any]:
        return {"model": f"{provider}/{ask['model']}", "api_base": ask["base"], "api_key": ask["key"],
                "stream": ask["stream"], "timeout": seconds(ask), "extra_headers": ask["headers"],
                "max_retries": ask["retries"]}

    def completion(provider: str) -> Way:
        def way(ask: Ask, seen: Seen) -> None:
            more: dict[str, Any] = {"tools": [TOOL]} if ask["tool"] else {}
            until_text([{"role": "user", "content": ask["prompt"]}], lambda messages: chat_answer(
                made.completion(messages=messages, max_tokens=8192, **common(ask, provider), **more),
                ask, seen), seen)
        return way

    def responses(ask: Ask, seen: Seen) -> None:
        more = {"tools": [{"type": "function", **FUNCTION}]} if ask["tool"] else {}
        responses_loop(ask, lambda given: made.responses(input=given, **common(ask, "openai"), **more), seen)
    return {"chat": completion("openai"), "responses": responses, "messages": completion("anthropic")}


def langchain() -> dict[str, Way]:
    """langchain's chat models of both providers."""
    from langchain_anthropic import ChatAnthropic
    from langchain_core.messages import HumanMessage, ToolMessage
    from langchain_openai import ChatOpenAI

    def way(make: Callable[[Ask], Any]) -> Way:
        def run(ask: Ask, seen: Seen) -> None:
            model = make(ask)
            bound = model.bind_tools([TOOL]) if ask["tool"] else model
            said: list[Any] = [HumanMessage(ask["prompt"])]
            while True:
                whole: Any = None
                for part in bound.stream(said) if ask["stream"] else iter((bound.invoke(said),)):
                    seen["text"] += part.text if isinstance(part.text, str) else part.text()
                    whole = part if whole is None else whole + part
                if not whole.tool_calls:
                    return
                seen["calls"] += [[call["name"], call["args"]] for call in whole.tool_calls]
                said += [whole, *(ToolMessage("sunny", tool_call_id=call["id"]) for call in whole.tool_calls)]
        return run

    def common(ask: Ask) -> dict[str, Any]:
        return {"model": ask["model"], "base_url": ask["base"], "api_key": ask["key"], "timeout": seconds(ask),
                "max_retries": ask["retries"], "default_headers": ask["headers"]}
    return {"chat": way(lambda ask: ChatOpenAI(**common(ask))),
            "responses": way(lambda ask: ChatOpenAI(**common(ask), use_responses_api=True)),
            "messages": way(lambda ask: ChatAnthropic(**common(ask), max_tokens=8192))}


def told(error: BaseException) -> dict[str, Any]:
    """An error as its user sees it."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    words = {name: value if isinstance(value := getattr(error, name, None), str) else None for name in ("code", "type")}
    return {"kind": type(error).__name__, "message": str(error), "status": getattr(error, "status_code", None),
            "wait": headers.get("retry-after"), **words}


def outcomes(surfaces: dict[str, Way]) -> Iterator[dict[str, Any]]:
    """What became of each request."""
    for line in sys.stdin:
        ask: Ask = {"stream": False, "tool": False, **json.loads(line)}
        seen: Seen = {"text": "", "calls": [], "kinds": []}
        begun = time.monotonic()
        try:
            surfaces[ask["surface"]](ask, seen)
        except Exception as error:
            seen["error"] = told(error)
        yield {**seen, "seconds": time.monotonic() - begun}


if __name__ == "__main__":
    found = {"openai": openai, "anthropic": anthropic, "litellm": litellm, "langchain": langchain}[sys.argv[1]]()
    print(json.dumps({"surfaces": list(found)}), flush=True)
    for outcome in outcomes(found):
        print(json.dumps(outcome, default=str), flush=True)
