"""An agent's turn against the simulator: a tool is called where the user names it, and the turn ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx
import pytest

from tests.support.simulator import Simulator

SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}}
TOOLS = ("Read", "Bash", "get_time")
ROUNDS = 5              # an agent that has not come to its end by then never does

User = Callable[[str], dict[str, Any]]
Step = tuple[str, Any]


@dataclass(frozen=True)
class Dialect:
    """How an agent speaks to one of the paths: what it sends, the calls it finds, and what it adds for them."""

    path: str
    said: str               # the member that holds the conversation
    tool: Callable[[str], dict[str, Any]]
    forced: Any
    calls: Callable[[Any], list[tuple[str, str]]]        # name and id, of an answer
    called: Callable[[list[str]], list[dict[str, Any]]]  # the model's turn: these ids
    results: Callable[[list[str], str], list[dict[str, Any]]]
    user: User = lambda text: {"role": "user", "content": text}
    model: User = lambda text: {"role": "assistant", "content": text}

    def conversation(self, steps: list[Step]) -> list[dict[str, Any]]:
        """Steps (who, what) in this dialect."""
        made: list[dict[str, Any]] = []
        for who, what in steps:
            made += {"user": lambda text: [self.user(text)], "model": lambda text: [self.model(text)],
                     "calls": self.called, "results": lambda ids: self.results(ids, "it is done"),
                     "errors": lambda ids: self.results(ids, "Error: no such file")}[who](what)
        return made

    def ask(self, simulator: Simulator, said: list[dict[str, Any]], **more: Any) -> Any:
        """The answer to a conversation."""
        body = {"model": "m", "max_tokens": 64, "tools": [self.tool(name) for name in TOOLS], self.said: said, **more}
        answer = httpx.post(f"{simulator.url}{self.path}", json=body, headers={"anthropic-version": "2023-06-01"})
        assert answer.status_code == 200, answer.text
        return answer.json()


def _function(name: str) -> dict[str, Any]:
    return {"name": name, "parameters": SCHEMA}


CHAT = Dialect(
    "/v1/chat/completions", "messages", lambda name: {"type": "function", "function": _function(name)}, "required",
    lambda answer: [(call["function"]["name"], call["id"])
                    for call in answer["choices"][0]["message"].get("tool_calls") or []],
    lambda ids: [{"role": "assistant", "content": None, "tool_calls": [
        {"id": call, "type": "function", "function": {"name": "Read", "arguments": "{}"}} for call in ids]}],
    lambda ids, text: [{"role": "tool", "tool_call_id": call, "content": text} for call in ids])
RESPONSES = Dialect(
    "/v1/responses", "input", lambda name: {"type": "function", **_function(name)}, "required",
    lambda answer: [(item["name"], item["call_id"]) for item in answer["output"] if item["type"] == "function_call"],
    lambda ids: [{"type": "reasoning", "summary": []}, *(
        {"type": "function_call", "call_id": call, "name": "Read", "arguments": "{}"} for call in ids)],
    lambda ids, text: [{"type": "function_call_output", "call_id": call, "output": text} for call in ids])
MESSAGES = Dialect(
    "/v1/messages", "messages", lambda name: {"name": name, "input_schema": SCHEMA}, {"type": "any"},
    lambda answer: [(block["name"], block["id"]) for block in answer["content"] if block["type"] == "tool_use"],
    lambda ids: [{"role": "assistant", "content": [
        {"type": "tool_use", "id": call, "name": "Read", "input": {}} for call in ids]}],
    lambda ids, text: [{"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": call, "content": text, "is_error": text.startswith("Error")}
        for call in ids]}])


@pytest.fixture(params=[CHAT, RESPONSES, MESSAGES], ids=["chat", "responses", "messages"])
def dialect(request: pytest.FixtureRequest) -> Dialect:
    """Each of the dialects."""
    found: Dialect = request.param
    return found


SPOKEN = [("user", "Read it"), ("calls", ["c1"]), ("results", ["c1"])]


@pytest.mark.parametrize(("steps", "named"), [
    # Whole words, wherever they stand.
    ([("user", "Read the file")], "Read"), ([("user", "please use Bash.")], "Bash"),
    ([("user", "(get_time)")], "get_time"),
    ([("user", "Reading the README already")], None), ([("user", "get_time_zone, forget_time")], None),
    ([("user", "a Read-only Bashful mind")], None), ([("user", "read it in bash")], None),
    # The last text decides.
    ([("user", "Read it"), ("model", "I did"), ("user", "thanks")], None),
    ([("user", "hello"), ("model", "shall I Read it?"), ("user", "Bash, please")], "Bash"),
    ([("user", "Read it"), ("user", "no, wait")], None),
    # A result is answered with text: one or several, of few or all calls, good or bad, with words behind it or not.
    (SPOKEN, None),
    ([("user", "Read it"), ("calls", ["c1"]), ("errors", ["c1"])], None),
    ([("user", "Read it"), ("calls", ["c1", "c2"]), ("results", ["c1"]), ("errors", ["c2"])], None),
    ([("user", "Read it"), ("calls", ["c1", "c2"]), ("results", ["c2"])], None),
    ([*SPOKEN, ("user", "Reminder: there is Bash too")], None),
    # The next turn is another.
    ([*SPOKEN, ("model", "It says so."), ("user", "Read it again")], "Read"),
    ([*SPOKEN, ("model", "It says so."), ("user", "thanks")], None),
])
def test_when_a_tool_is_called(dialect: Dialect, simulator: Simulator, steps: list[Step], named: str | None) -> None:
    """A tool is called where the user's last text has its name as a whole word and no result has come since."""
    calls = dialect.calls(dialect.ask(simulator, dialect.conversation(steps)))
    assert [name for name, _ in calls] == ([named] if named else [])


def test_a_result_with_a_reminder_in_one_message(simulator: Simulator) -> None:
    """Text that an agent puts beside a result, or before the user's words, into one message names no tool."""
    beside = MESSAGES.conversation(SPOKEN)
    beside[-1]["content"].append({"type": "text", "text": "<reminder>Bash may be used</reminder>"})
    assert MESSAGES.calls(MESSAGES.ask(simulator, beside)) == []
    before = [{"role": "user", "content": [{"type": "text", "text": "You may Read."}, {"type": "text", "text": "Hi"}]}]
    assert MESSAGES.calls(MESSAGES.ask(simulator, before)) == []


def test_a_forced_call_is_made(dialect: Dialect, simulator: Simulator) -> None:
    """A client that forces a call gets one, behind a result as well: the providers' rule, and the client's own will."""
    for steps in ([("user", "hello")], SPOKEN):
        answer = dialect.ask(simulator, dialect.conversation(steps), tool_choice=dialect.forced)
        assert [name for name, _ in dialect.calls(answer)] == ["Read"]


@pytest.mark.parametrize("good", [True, False], ids=["good", "failing"])
def test_an_agent_comes_to_its_end(dialect: Dialect, simulator: Simulator, good: bool) -> None:
    """An agent that runs every call and sends its result has two requests a turn, however many turns it had."""
    said: list[dict[str, Any]] = []
    for _ in range(3):
        said.append(dialect.user("Use Bash to count the files"))
        asked = 0
        while asked < ROUNDS:
            asked += 1
            calls = dialect.calls(dialect.ask(simulator, said))
            if not calls:
                break
            assert [name for name, _ in calls] == ["Bash"]
            ids = [call for _, call in calls]
            said += dialect.called(ids) + dialect.results(ids, "7" if good else "Error: it failed")
        assert asked == 2, json.dumps(said, indent=1)
        said.append(dialect.model("There are some."))


@pytest.mark.parametrize(("parameters", "made"), [
    ({"type": "object", "properties": {"a": {"type": "string"}, "n": {"type": "number"}}}, {"a": "example", "n": 1.5}),
    ({"type": "object", "properties": {"a": {"type": "string"}, "n": {"type": "number"}}, "required": ["a"]},
     {"a": "example"}),
    ({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a", "b"]}, {"a": "example"}),
    ({"type": "object", "properties": {"command": {"type": "array", "items": {"type": "string"}}}},
     {"command": ["example"]}),
    ({"type": "object", "properties": {"any": {"type": "array"}, "kind": {"enum": ["x", "y"]}}},
     {"any": [], "kind": "x"}),
    (None, {}),
])
def test_arguments(simulator: Simulator, parameters: Any, made: dict[str, Any]) -> None:
    """A call has the members that its schema requires, as an agent's own checks may refuse what is optional."""
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    answer = CHAT.ask(simulator, [CHAT.user("f")], tools=[tool])
    assert json.loads(answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]) == made
