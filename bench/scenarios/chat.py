"""A chat mix: twenty clients, about ten requests a second each, both dialects, a third of them as streams."""

from scenarios import Call, Caller, Scenario

OPENAI, ANTHROPIC = "gpt-5-mini", "claude-haiku-4-5"
CALLS = (
    Call("chat", OPENAI, weight=4),
    Call("chat stream", OPENAI, stream=True, weight=2),
    Call("messages", ANTHROPIC, weight=2),
    Call("messages stream", ANTHROPIC, stream=True))
SCENARIO = Scenario(callers=(Caller(CALLS),), users=20)
