"""How long a host is thought to live from its last word on; lives.lua keeps their lives in Redis.

What a host has of limits is good as long as it lives, so that one word is enough for all of them.
"""

from __future__ import annotations

from edge._fast import ALIVE

SILENCE = ALIVE
"""How long what a host has may be used when Redis says no more, ns from when something was said that it answered."""
RECLAIM = 1_100_000
"""How long Redis counts it as alive, us from when it heard of it: longer by a tenth."""
