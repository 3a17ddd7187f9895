"""Bursts: ten clients, and twice a hundred, of whom the gateway's limit lets 300 requests a second pass.

Who is refused is told at once, and when to come again. The provider sees no more than the limit.
"""

from scenarios import Caller, Scenario, Step
from scenarios.chat import CALLS

SCENARIO = Scenario(
    callers=(Caller(CALLS),), users=10,
    steps=(Step(0.2, "burst", users=100), Step(0.4, "over", users=10),
           Step(0.6, "burst", users=100), Step(0.8, "over", users=10)),
    gateway={"rate_limit": {"requests_per_second": 300, "burst_size": 300}})
