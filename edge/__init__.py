"""edge: one front door for LLM traffic."""

__version__ = "0.1.0"
