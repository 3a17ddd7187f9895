"""A soak: the chat mix, agents and long streams for half an hour, in which memory must not grow."""

from scenarios import Call, Caller, Scenario
from scenarios.agents import STEPS
from scenarios.chat import ANTHROPIC, CALLS, OPENAI

SCENARIO = Scenario(
    callers=(Caller(CALLS, weight=4),
             Caller((Call("agent", OPENAI, context=STEPS),), pause=(0.5, 1.5)),
             Caller((Call("long stream", ANTHROPIC, stream=True),), pause=(0.1, 1.0))),
    users=24, seconds=1800, simulate=("--tokens", "40", "--delay-ms", "5"))
