"""Errors: all that can go wrong, numbered, and the templates that tell it to a client."""
