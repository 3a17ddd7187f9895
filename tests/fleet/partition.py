"""Two hosts in network namespaces of their own, with a link each to Valkey that is taken down and up again.

`unshare --map-root-user --net python -m tests.fleet.partition` prints what came of it, as JSON. Nothing of it is seen
outside of the namespace that it runs in, and all of it goes with it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from tests.fleet.rack import Traffic, configuration, statuses
from tests.fleet.server import Server, until
from tests.fleet.upstream import Upstream
from tests.support.gateway import Gateway

RATE, BURST, ASKED = 40, 40, 40         # a second; the last by each of the two
LIMIT = {"requests_per_second": RATE, "burst_size": BURST, "outage": "closed"}
LASTS = 2.0                             # seconds: longer than what a host holds is lent


def ip(*words: str, inside: int | None = None) -> None:
    """ip(8), in the namespace of a process."""
    where = [] if inside is None else ["nsenter", "--target", str(inside), "--net"]
    subprocess.run([*where, "ip", *words], check=True, stdin=subprocess.DEVNULL)


class Host(Gateway):
    """A gateway in a namespace, with a link for requests and one to Valkey."""

    def __init__(self, number: int, server: Server, upstream: Upstream) -> None:
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "300"], stdin=subprocess.DEVNULL)
        pid = self.holder.pid
        until(lambda: Path(f"/proc/{pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink())
        ip("link", "set", "lo", "up", inside=pid)
        for kind, name in ((1, "way"), (2, "redis")):
            ip("link", "add", f"{name}{number}", "type", "veth", "peer", "name", name, "netns", str(pid))
            ip("address", "add", f"10.{kind}.{number}.1/24", "dev", f"{name}{number}")
            ip("address", "add", f"10.{kind}.{number}.2/24", "dev", name, inside=pid)
            ip("link", "set", f"{name}{number}", "up")
            ip("link", "set", name, "up", inside=pid)
        self.before = ("nsenter", "--target", str(pid), "--net")
        self.address = f"10.1.{number}.2"
        self.link = f"redis{number}"
        given = configuration(upstream, f"redis://10.2.{number}.1:{server.port}", LIMIT, redis={"grace": 0.0})
        given["providers"]["up"]["base_url"] = f"http://10.1.{number}.1:{upstream.port}/v1"
        super().__init__({**given, "listen_addr": "0.0.0.0"})

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        self.holder.kill()
        self.holder.wait()

    def said(self, message: str) -> int:
        """How often its log has it."""
        return self.log().count(message)


def main() -> None:
    """The whole of it."""
    ip("link", "set", "lo", "up")
    with ExitStack() as stack:
        server = stack.enter_context(Server("--bind", "0.0.0.0", "--protected-mode", "no"))
        upstream = stack.enter_context(Upstream(address="0.0.0.0"))
        hosts = [stack.enter_context(Host(number, server, upstream)) for number in (1, 2)]
        first, second = [stack.enter_context(Traffic([host], ASKED)) for host in hosts]
        until(lambda: all(429 in statuses(each.found) and 200 in statuses(each.found) for each in (first, second)), 20)
        until(lambda: 429 in statuses(first.found[-5:]) and 429 in statuses(second.found[-5:]), 20)
        begun, before, seen = time.monotonic(), len(upstream.asked), [len(each.found) for each in (first, second)]
        ip("link", "set", hosts[0].link, "down")
        until(lambda: hosts[0].said("Redis does not answer"))
        parted = time.monotonic()
        time.sleep(LASTS)
        alone = Counter(status for at, status, _ in first.found if at > parted + 0.5)
        ip("link", "set", hosts[0].link, "up")
        healed, count = time.monotonic(), len(first.found)
        until(lambda: hosts[0].said("Redis answers") == 2)
        back = time.monotonic() - healed
        until(lambda: 200 in statuses(first.found[count:]))
        admitted, lasted = len(upstream.asked) - before, time.monotonic() - begun
        away = [host.said("Redis does not answer") for host in hosts]
        found = [each.found[start:] for each, start in zip((first, second), seen, strict=True)]
    json.dump({
        "excess": admitted - RATE * lasted, "back": back, "alone": alone, "away": away,
        "statuses": [statuses(each) for each in found],
        "longest": [max(took for _, _, took in each) for each in found]}, sys.stdout)


if __name__ == "__main__":
    main()
