"""Request load: wrk's many, and before and after them one answer that is read in full."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .load import KEY, SPENT_KEY, WRONG_KEY, Run, ask, wrk
from .processes import Trouble
from .targets import DIRECT, Target, Upstream

# nginx+lua is sent the same; nginx and HAProxy as plain proxies hand the key on.
GOOD, SPENT, WRONG = ({"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
                      for key in (KEY, SPENT_KEY, WRONG_KEY))
HANDED_OUT = 3              # the upstream may see that many requests of a spent key beyond one a second


@dataclass(frozen=True, slots=True)
class Plan:
    """What is sent over and over, and what must come back: a status, and for a 200 the body."""

    body: bytes
    headers: Mapping[str, str]
    status: int
    answer: bytes = b""
    connections: int = 32
    seconds: float = 3


def files(folder: Path, name: str, plan: Plan) -> tuple[Path, Path]:
    """The body and the header lines as files, for load generators."""
    body, headers = folder / f"sent-{name}.body", folder / f"sent-{name}.headers"
    body.write_bytes(plan.body)
    headers.write_text("".join(f"{key}: {value}\n" for key, value in plan.headers.items()))
    return body, headers


def run(target: Target, upstream: Upstream, paths: tuple[Path, Path], plan: Plan) -> Run:
    """One run. The upstream must have counted each answered request once, and refused ones never."""
    check(target, plan)
    before = upstream.count()
    load = wrk(target.port, paths, plan.connections, plan.seconds)
    reached = upstream.count() - before
    check(target, plan)
    refused = plan.status != 200
    if load.failed or (not refused and load.not_ok):
        raise Trouble(f"{target.name}: {load.failed} requests failed, {load.not_ok} were refused")
    handed_out = int(plan.seconds) + HANDED_OUT if plan.status == 429 else 0
    if refused and load.answers - load.not_ok > handed_out:
        raise Trouble(f"{target.name}: {load.answers - load.not_ok} of {load.answers} were not refused")
    # Requests under way when wrk stops have reached the upstream without being counted as answered.
    least, most = (0, handed_out) if refused else (load.answers, load.answers + 2 * plan.connections)
    if not least <= reached <= most and target.name != DIRECT:
        raise Trouble(f"{target.name}: {load.answers} answers, but {reached} requests reached the upstream")
    return load


def beside(target: Target, paths: tuple[Path, Path], long: tuple[Path, Path], seconds: float) -> Run:
    """One run of requests one after the other, while long ones pass on another connection."""
    with ThreadPoolExecutor(1) as pool:
        passing = pool.submit(wrk, target.port, long, 1, seconds + 1)
        load = wrk(target.port, paths, 1, seconds)
    for each in (load, passing.result()):
        if each.failed or each.not_ok or not each.answers:
            raise Trouble(f"{target.name}: of {each.answers} requests {each.failed} failed, {each.not_ok} were refused")
    return load


def check(target: Target, plan: Plan) -> None:
    """One answer in full. A bucket that is empty in general may let the first requests pass."""
    for _ in range(HANDED_OUT):
        got = ask(target.port, plan.headers, plan.body)
        if got.status == plan.status:
            break
    else:
        raise Trouble(f"{target.name}: status {got.status}, not {plan.status}: {got.body[:500]!r}")
    if plan.status == 200 and got.body != plan.answer:
        raise Trouble(f"{target.name}: not the upstream's answer: {got.body[:500]!r}")
    if plan.status != 200 and "message" not in json.loads(got.body)["error"]:
        raise Trouble(f"{target.name}: no error object: {got.body[:500]!r}")
    if plan.status == 429 and int(got.headers["retry-after"]) < 1:
        raise Trouble(f"{target.name}: no usable Retry-After")
