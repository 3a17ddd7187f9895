"""A provider's outage: OpenAI answers 503 to everything in the middle third of the run, Anthropic goes on.

Half of OpenAI's clients ask for a model that has a fallback at another provider, and see nothing of it; the others get
errors until the circuit, which looks twice a second here, finds the provider well again.
"""

from scenarios import Call, Caller, Scenario, Step

OUT = {"match": {"key": "sk-openai"}, "fault": "status=503"}
SCENARIO = Scenario(
    callers=(Caller((Call("chat", "gpt-5-mini", weight=2), Call("chat stream", "gpt-5-mini", stream=True))),
             Caller((Call("chat with fallback", "safe", weight=2),
                     Call("chat stream with fallback", "safe", stream=True))),
             Caller((Call("messages", "claude-haiku-4-5", weight=2),
                     Call("messages stream", "claude-haiku-4-5", stream=True)))),
    users=24,
    steps=(Step(1 / 3, "outage begins", faults=(OUT,)), Step(2 / 3, "outage ends", faults=())),
    simulate=("--latency", "15", "--jitter", "10"),
    gateway={"providers": {"backup": {"key": "sk-backup"}},
             "models": {"safe": "openai/gpt-5-mini", "gpt-*": "openai", "claude-*": "anthropic"},
             "fallback": {"safe": ["backup/gpt-5-mini"]},
             "circuit_breaker": {"open_time": 0.5, "max_open_time": 0.5, "all_open": "refuse"}})
