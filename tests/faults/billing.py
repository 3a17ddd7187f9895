"""Processes are killed under load, and the ledger is held to what clients got and to what the provider did.

    python -m tests.faults.billing --kills 100 --cuts 20

Workers, control and the supervisor are killed in turn, and then all at once. Every answer that a client got is in the
ledger once; what is in it besides are requests whose client was cut off; and of the provider's calls no more are
missing than requests were cut off. The balance is what was credited less what stands there, to the last micro-point.
The exit status is 1 where that is not so.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import sqlite3
import sys
import threading
import time
from collections import Counter
from contextlib import closing

import click
import httpx2 as httpx

from tests.support.gateway import PLAIN, Gateway, configuration
from tests.support.simulator import Simulator

CLIENTS = 8
CREDIT = 10**9              # points
BODY = json.dumps({"model": "m", "max_tokens": 20, "messages": [{"role": "user", "content": "x" * 100}]})


class Clients:
    """Threads that ask one request after the other, until they are told to end."""

    def __init__(self, edge: Gateway, key: str) -> None:
        self.edge, self.key = edge, key
        self.served: list[str] = []         # ids of requests that were answered
        self.cut = 0                        # requests that were sent and not answered
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(CLIENTS)]

    def run(self) -> None:
        """One of them."""
        while not self.ended.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.edge.port, timeout=10)
            try:
                connection.connect()
                while not self.ended.is_set():
                    self.ask(connection)
            except OSError:
                time.sleep(0.02)
            finally:
                connection.close()

    def ask(self, connection: http.client.HTTPConnection) -> None:
        """One request. OSError: there was no answer."""
        try:
            connection.request("POST", "/v1/chat/completions", BODY, {
                "authorization": f"Bearer {self.key}", "content-type": "application/json"})
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self.cut += 1
            raise OSError from None
        if answer.status == 200:
            self.served.append(answer.headers["x-request-id"])
        elif answer.status >= 500:
            self.cut += 1


def strike(edge: Gateway, how: str) -> None:
    """Kills who is meant, and sees that the gateway is there again."""
    before = edge.metric("edge_config_version")
    if how in ("supervisor", "all"):
        victims = [edge.process.pid, *(edge.children() if how == "all" else ())]
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        edge.process.wait()
        edge.__enter__()
        return
    children = edge.children()
    os.kill(children[0] if how == "control" else random.choice(children[1:]), signal.SIGKILL)
    edge.wait(lambda: len(edge.children()) == len(children) and alive(edge) and before)


def alive(edge: Gateway) -> bool:
    """Whether control answers."""
    try:
        return bool(httpx.get(f"{edge.admin}/readyz", **PLAIN).status_code == 200)
    except httpx.HTTPError:
        return False


def rows(edge: Gateway) -> tuple[list[str], int]:
    """The ids of all requests in the ledger, and what they have cost."""
    with closing(sqlite3.connect(edge.file.with_name("edge.db"))) as store:
        found = store.execute("SELECT request, points FROM ledger WHERE boot > 0").fetchall()
    return [name for name, _ in found], -sum(points for _, points in found)


def settled(edge: Gateway) -> bool:
    """Whether all that was written down is posted, and the journals of those that are gone are away."""
    return (edge.metric("edge_requests_in_flight") == 0 and edge.metric("edge_journal_entries_waiting") == 0
            and len({each.name.partition("-")[0] for each in edge.file.with_name("edge.db.points").iterdir()}) == 1)


@click.command()
@click.option("--kills", default=100, help="Of workers, control and the supervisor, in turn.")
@click.option("--cuts", default=20, help="Of all processes at once.")
@click.option("--seconds", default=0.5, help="Between two of them.")
def main(kills: int, cuts: int, seconds: float) -> None:
    """See the module."""
    with Simulator() as provider:
        config = configuration(provider.url, store="edge.db", workers=2, models={"m": ["openai"]}, prices={
            "m": {"input": 7, "output": 11, "request": 1013}})
        with Gateway(config) as edge:
            for path, said in (("accounts", {"name": "a"}), ("accounts/a/credit", {"points": CREDIT})):
                httpx.post(f"{edge.admin}/admin/{path}", json=said, **PLAIN).raise_for_status()
            made = httpx.post(f"{edge.admin}/admin/keys", json={"name": "a", "account": "a"}, **PLAIN).json()
            clients = Clients(edge, made["secret"])
            for thread in clients.threads:
                thread.start()
            ways = [("worker", "control", "worker", "supervisor")[each % 4] for each in range(kills)] + ["all"] * cuts
            for number, how in enumerate(ways, 1):
                time.sleep(seconds)
                strike(edge, how)
                click.echo(f"\r{number} of {len(ways)}: {len(clients.served)} served, {clients.cut} cut off  ",
                           err=True, nl=False)
            time.sleep(seconds)
            clients.ended.set()
            for thread in clients.threads:
                thread.join()
            edge.wait(lambda: settled(edge), 30)
            told = httpx.get(f"{edge.admin}/admin/accounts/a/balance", **PLAIN).json()
            calls = provider.state()["requests"]
            sys.exit(report(clients, *rows(edge), calls, told["balance"]))


def report(clients: Clients, entries: list[str], cost: int, calls: int, balance: str) -> int:
    """Prints what there is; 1 where a promise is broken."""
    known, served = set(entries), set(clients.served)
    twice = sum(count - 1 for count in Counter(entries).values())
    lost = len(served - known)
    left = CREDIT * 10**6 - cost
    exact = balance == f"{left / 10**6:.6f}".rstrip("0").rstrip(".")
    missing = calls - len(entries)
    click.echo(f"\nserved {len(served)}, cut off {clients.cut}, provider's calls {calls}, entries {len(entries)}\n"
               f"answered and not in the ledger: {lost} (0)\ntwice in the ledger: {twice} (0)\n"
               f"calls without an entry: {missing} (0 to {clients.cut})\n"
               f"balance {balance}, by the ledger {left / 10**6:.6f}: {'exact' if exact else 'WRONG'}")
    return int(bool(lost or twice or not 0 <= missing <= clients.cut or not exact))


if __name__ == "__main__":
    main()
