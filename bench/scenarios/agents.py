"""Agents: the whole conversation is sent anew with each step, from 8 KB to 512 KB, then the next task begins."""

from scenarios import Call, Caller, Scenario

STEPS = (8_000, 16_000, 32_000, 64_000, 128_000, 256_000, 384_000, 512_000)
SCENARIO = Scenario(
    callers=(Caller((Call("agent", "gpt-5", context=STEPS),), pause=(0.1, 0.4)),
             Caller((Call("agent stream", "claude-opus-4-6", stream=True, context=STEPS),), pause=(0.1, 0.4))),
    users=10, simulate=("--latency", "20"))
