"""Limits that hosts share: the one room that speaks with Redis."""
