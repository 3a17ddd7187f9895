"""How long a test waits for what must come, and fails when it has not: longer than a busy machine may stand still."""

PATIENCE = 30.0     # seconds
