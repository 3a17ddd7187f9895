"""What a scenario is: who calls what and how often, and what happens meanwhile.

A scenario is a file of this folder that holds no more than data, in `SCENARIO`, and a docstring, which its report opens
with. locustfile.py plays it; scenario.py gives it a gateway and a provider.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from harness.load import key
from harness.processes import Trouble

KEY = "good"
NAMES = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


@dataclass(frozen=True, slots=True)
class Call:
    """One kind of request. Models whose names begin with claude are asked on /v1/messages, the others as OpenAI's."""

    name: str
    model: str
    stream: bool = False
    context: tuple[int, ...] = (1000,)      # bytes of the conversation in a client's first request, its second, ...
    weight: int = 1                         # how often, beside the other calls of the same caller


@dataclass(frozen=True, slots=True)
class Caller:
    """One kind of client: one request after the other on a kept-alive connection."""

    calls: tuple[Call, ...]
    pause: tuple[float, float] = (0.05, 0.15)       # seconds between two requests, at least and at most
    weight: int = 1                         # how many of the clients


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happens in a run, and is marked in its report."""

    at: float                               # share of the run that is over by then
    mark: str
    users: int | None = None                # clients from then on; None: as many as before
    faults: tuple[Mapping[str, Any], ...] | None = None     # the simulator's rules from then on; None: as before


@dataclass(frozen=True, slots=True)
class Scenario:
    """One load, and what it is put on."""

    callers: tuple[Caller, ...]
    users: int
    seconds: int = 30
    steps: tuple[Step, ...] = ()
    simulate: tuple[str, ...] = ()          # arguments of `edge simulate`
    keys: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {KEY: {}})    # what is configured of each
    gateway: Mapping[str, Any] = field(default_factory=dict)        # what the configuration has beside

    def users_at(self, share: float) -> int:
        """How many clients there are when this share of the run is over."""
        told = [step.users for step in self.steps if step.at <= share and step.users is not None]
        return told[-1] if told else self.users


def load(name: str) -> Scenario:
    """The scenario of a name. Trouble: there is none."""
    if name not in NAMES:
        raise Trouble(f"there is no scenario {name!r}; there are {', '.join(NAMES)}")
    scenario: Scenario = import_module(f"scenarios.{name}").SCENARIO
    return scenario


def about(name: str) -> str:
    """What a scenario's file says of it, on one line."""
    return " ".join((import_module(f"scenarios.{name}").__doc__ or "").split())


def configuration(scenario: Scenario, port: int, admin_port: int, provider: int) -> dict[str, Any]:
    """The gateway's configuration: both of its providers are one simulator, which knows them apart by their keys."""
    base = f"http://127.0.0.1:{provider}"
    return {
        "listen_addr": "127.0.0.1", "port": port, "admin": {"listen_addr": "127.0.0.1", "port": admin_port},
        "keys": [{"name": name, "key": key(name), **more} for name, more in scenario.keys.items()],
        **scenario.gateway,
        "providers": {"openai": {"base_url": f"{base}/v1", "key": "sk-openai"},
                      "anthropic": {"base_url": base, "key": "sk-anthropic"},
                      **{name: {"kind": "openai", "base_url": f"{base}/v1", **more}
                         for name, more in scenario.gateway.get("providers", {}).items()}}}
