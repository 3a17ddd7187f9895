"""Many keys: each request comes with another of a thousand, of which one in ten has a limit that is soon spent."""

from scenarios import Caller, Scenario
from scenarios.chat import CALLS

SCENARIO = Scenario(
    callers=(Caller(CALLS),), users=20,
    keys={f"team-{n}": {"rate_limit": {"requests_per_second": 0.1, "burst_size": 1} if n % 10 == 0 else
                        {"requests_per_second": 100}} for n in range(1000)})
