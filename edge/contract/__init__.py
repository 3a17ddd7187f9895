"""The error contracts: what a client is told when something goes wrong, as data.

conditions.yaml says what can go wrong, contracts/ what each contract says of it; README.md is the manual for
a contract of one's own. `compile_surface` makes templates of them for the data plane.
"""

from __future__ import annotations

from .conditions import Meaning, conditions
from .files import Contract, Row, load, names
from .problems import ContractError, Problem
from .templates import compile_surface, statuses

__all__ = ["Contract", "ContractError", "Meaning", "Problem", "Row", "blames", "compile_surface", "load",
           "meanings", "names", "statuses"]


def meanings() -> dict[str, Meaning]:
    """What each condition means, by name, in the order of the enum."""
    return conditions().meanings


def blames() -> dict[str, str]:
    """Whose fault each condition is, by name."""
    return {name: meaning.blame for name, meaning in meanings().items()}
from .provider_errors import classify, wait_ms
