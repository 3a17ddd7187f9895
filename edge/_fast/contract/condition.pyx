"""Names the conditions for Python: see condition.pxd."""
