"""Long streams: sixty at a time, of two hundred events at 20 ms, so of four seconds, one after the other."""

from scenarios import Call, Caller, Scenario

SCENARIO = Scenario(
    callers=(Caller((Call("chat stream", "gpt-5", stream=True),
                     Call("messages stream", "claude-opus-4-6", stream=True)), pause=(0.1, 1.0)),),
    users=60, simulate=("--tokens", "200", "--delay-ms", "20"))
