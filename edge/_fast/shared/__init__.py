"""The memory that all processes of a host share: limits, counters, and the health of targets."""
