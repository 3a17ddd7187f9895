"""A simulator of providers: OpenAI's and Anthropic's APIs, plain and streaming, with faults on demand."""

from edge.simulator.answer import Options
from edge.simulator.faults import FAULTS
from edge.simulator.server import bind, run, serve

__all__ = ["FAULTS", "Options", "bind", "run", "serve"]
