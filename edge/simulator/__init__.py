"""A simulator of providers: OpenAI's and Anthropic's APIs, plain and streaming, with faults on demand."""

from edge.simulator.answer import Options
from edge.simulator.server import run, serve

__all__ = ["Options", "run", "serve"]
