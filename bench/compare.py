"""This gateway beside nginx, on this machine: CPU per request and per event, refusals, TLS, memory.

Two cores: the target has one for itself, load generator and upstream share the other. Targets are measured in
interleaved rounds and compared within each round. See README.md for what the figures mean.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

import click
from harness import memory as held
from harness import report, requests, streams
from harness.load import chat_body
from harness.processes import Stage, Trouble
from harness.rounds import Case, interleave
from harness.targets import BASE, DEFAULT, DIRECT, Target, Upstream, answer, json_upstream, launch, sse_upstream

KILOBYTE = 1024
ANSWER = 600                # bytes of a usual answer
GUARDED = ("nginx+lua", "edge")
FIRST_EVENT = b"data: "


@click.group(help=__doc__, context_settings={"show_default": True})
def main() -> None:
    """The measurements, each a command."""


@dataclass(frozen=True, slots=True)
class Common:
    """What all commands with rounds can be told."""

    rounds: int
    seconds: float
    connections: int
    only: list[str]
    against: str


def common(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options of `Common`, and hands them to the command as one value."""
    @click.option("--rounds", default=8, help="rounds that count")
    @click.option("--seconds", default=3.0, help="length of one run")
    @click.option("--connections", default=32, help="connections kept busy (not for streams)")
    @click.option("--only", default=",".join(DEFAULT), help="targets; also: nginx+files, haproxy, edge+usage, "
                  "edge+takes, edge+redis, edge+access, edge@DIR")
    @click.option("--against", default=BASE, help="whose cost the ratios are taken to")
    @wraps(command)
    def handed(rounds: int, seconds: float, connections: int, only: str, against: str, **rest: Any) -> None:
        command(Common(rounds, seconds, connections, only.split(","), against.replace("/", "_")), **rest)
    return handed


Plans = Sequence[tuple[str, Target, requests.Plan]]


def compare(stage: Stage, upstream: Upstream, plans: Plans, chosen: Common) -> None:
    """Interleaved runs of requests, each plan under its label, and their table."""
    cases = [Case(label, target, partial(
        requests.run, target, upstream, requests.files(stage.folder, label, plan), plan))
        for label, target, plan in plans]
    report.requested(interleave(cases, upstream, chosen.rounds), chosen.against)


def answered(chosen: Common, body: int, size: int, secure: bool) -> None:
    """Chat requests and their answers, of the given sizes."""
    with Stage() as stage:
        upstream = json_upstream(stage, size, body)
        plan = requests.Plan(
            chat_body(body), requests.GOOD, 200, answer(size), chosen.connections, chosen.seconds)
        live = launch(stage, chosen.only, upstream, secure)
        print(f"\n### {body} B request, {size} B answer{', upstream over TLS' if secure else ''}, "
              f"{chosen.connections} connections, {chosen.rounds} rounds of {chosen.seconds:g} s\n")
        compare(stage, upstream, [(each.name, each, plan) for each in live], chosen)


@main.command()
@common
@click.option("--body", default=KILOBYTE, help="bytes of the request's body")
@click.option("--answer", "size", default=ANSWER, help="bytes of the answer's body")
def json(chosen: Common, body: int, size: int) -> None:
    """Chat requests answered with one JSON body."""
    answered(chosen, body, size, secure=False)


@main.command()
@common
@click.option("--body", default=KILOBYTE, help="bytes of the request's body")
@click.option("--answer", "size", default=ANSWER, help="bytes of the answer's body")
def tls(chosen: Common, body: int, size: int) -> None:
    """The same with the upstream behind TLS, connections to it kept alive."""
    answered(chosen, body, size, secure=True)


@main.command()
@common
def reject(chosen: Common) -> None:
    """Refusals: a wrong key (401) and a spent bucket (429), beside a request that nginx proxies."""
    body, plans = chat_body(KILOBYTE), []
    with Stage() as stage:
        upstream = json_upstream(stage, ANSWER)
        for each in launch(stage, chosen.only, upstream):
            kinds = ((each.name, requests.GOOD, 200),) if each.name not in GUARDED else (
                (f"{each.name}, 401", requests.WRONG, 401), (f"{each.name}, 429", requests.SPENT, 429))
            for label, headers, status in kinds:
                wanted = answer(ANSWER) if status == 200 else b""
                plans.append((label, each, requests.Plan(
                    body, headers, status, wanted, chosen.connections, chosen.seconds)))
        print(f"\n### Refusals of 1 KB requests, {chosen.connections} connections, "
              f"{chosen.rounds} rounds of {chosen.seconds:g} s\n")
        compare(stage, upstream, plans, chosen)


@main.command()
@common
@click.option("--body", default=8 * KILOBYTE * KILOBYTE, help="bytes of the long requests' bodies")
def beside(chosen: Common, body: int) -> None:
    """How long short requests take while long ones pass."""
    with Stage() as stage:
        upstream = json_upstream(stage, ANSWER, body)
        paths, long = (requests.files(stage.folder, name, requests.Plan(chat_body(size), requests.GOOD, 200))
                       for name, size in (("short", KILOBYTE), ("long", body)))
        cases = [Case(each.name, each, partial(requests.beside, each, paths, long, chosen.seconds))
                 for each in launch(stage, chosen.only, upstream)]
        print(f"\n### 1 KB requests beside those of {body} B, one connection each, {chosen.rounds} rounds of "
              f"{chosen.seconds:g} s\n")
        report.waited(interleave(cases, upstream, chosen.rounds))


@main.command()
@common
@click.option("--streams", "at_once", default=0, help="streams at once; 0: 500 paced, then 200 flat out")
@click.option("--events", default=100, help="events of a stream")
@click.option("--delay", default=20.0, help="milliseconds between events; 0: flat out")
def stream(chosen: Common, at_once: int, events: int, delay: float) -> None:
    """Server-sent events: CPU per event, and what the first event waits beyond the direct path."""
    given = ((at_once, delay),) if at_once else ((500, delay), (200, 0.0))
    for plan in (streams.Plan(streams_, events, pause, chosen.seconds) for streams_, pause in given):
        with Stage() as stage:
            upstream = sse_upstream(stage, plan.events, plan.delay)
            request = requests.Plan(chat_body(KILOBYTE, stream=True), requests.GOOD, 200)
            paths = requests.files(stage.folder, "stream", request)
            cases = [Case(each.name, each, partial(streams.run, each, upstream, paths, plan))
                     for each in launch(stage, [DIRECT, *chosen.only], upstream)]
            pace = f"{plan.delay:g} ms apart" if plan.delay else "flat out"
            print(f"\n### {plan.streams} streams of {plan.events} events, {pace}, {chosen.rounds} rounds of "
                  f"{plan.seconds:g} s and to the end\n")
            report.streamed(interleave(cases, upstream, chosen.rounds), chosen.against)


@main.command()
@click.option("--only", default=",".join(DEFAULT), help="targets; also: nginx+files, haproxy")
@click.option("--idle", default=2000, help="idle connections")
@click.option("--open", "open_", default=500, help="open streams")
def memory(only: str, idle: int, open_: int) -> None:
    """Resident memory per idle connection, per open stream, per open stream over a TLS upstream."""
    names, figures = only.split(","), dict[str, list[str]]()
    chat = requests.Plan(chat_body(KILOBYTE), requests.GOOD, 200, answer(ANSWER))
    streaming = requests.Plan(chat_body(KILOBYTE, stream=True), requests.GOOD, 200)
    for plan, count, secure in ((chat, idle, False), (streaming, open_, False), (streaming, open_, True)):
        with Stage() as stage:
            upstream = json_upstream(stage, ANSWER) if plan is chat else sse_upstream(stage, 1000, 1000)
            until = plan.answer or FIRST_EVENT
            for each in launch(stage, names, upstream, secure):
                added = held.per_connection(each, plan, count, until)
                figures.setdefault(each.name, []).append(f"{added / KILOBYTE:.1f}")
    print(f"\n### Resident memory, KB: {idle} idle connections, {open_} open streams\n")
    report.table(["target", "idle connection", "open stream", "open stream, TLS upstream"],
                 [[name, *values] for name, values in figures.items()])


if __name__ == "__main__":
    try:
        main()
    except Trouble as trouble:
        sys.exit(f"compare: {trouble}")
