"""A fleet to look at: three gateways, the Valkey that they share a limit through, and simulated providers.

`make fleet` starts all of it on 127.0.0.1, prints where each is and what to type, and ends it at Ctrl-C.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from tests.fleet.server import Server
from tests.support.gateway import KEY, Gateway
from tests.support.simulator import Simulator

HOSTS = 3
LIMIT = {"requests_per_second": 5, "burst_size": 10}

ASKED = (f"-H 'authorization: Bearer {KEY}' -H 'content-type: application/json' "
         """-d '{"model": "any", "messages": [{"role": "user", "content": "hi"}]}'""")
TEXT = """\
Three gateways with one key, whose {rate} requests a second and burst of {burst} they share through Valkey.

{hosts}
  valkey     redis://127.0.0.1:{redis}, process {valkey}
  provider   {provider}, simulated

Ask one of them:
  curl -s {url}/v1/chat/completions {asked}

Ask all of them in turn: {burst} or a few more are let through, whoever is asked, as if there were one gateway:
  for n in 1 2 3 4 5 6 7 8; do for port in {ports}; do curl -s -o /dev/null -w '%{{http_code}} ' \\
      127.0.0.1:$port/v1/chat/completions {asked}
  done; done; echo

See what they hold, and how Valkey is:
  {edge} fleet --admin {admin}

Take Valkey away, and bring it back:
  kill -STOP {valkey}; {edge} fleet --admin {admin}; sleep 5; kill -CONT {valkey}

Ctrl-C ends all of it.
"""


def configuration(server: Server, provider: Simulator) -> dict[str, Any]:
    """Each host's."""
    return {
        "port": 0, "listen_addr": "127.0.0.1", "admin": {"port": 0}, "workers": 1, "redis": {"url": server.url},
        "providers": {"simulated": {"kind": "openai", "base_url": provider.openai_url, "key": "env:PROVIDER_KEY"}},
        "keys": [{"name": "demo", "key": "env:TEST_KEY", "rate_limit": LIMIT}]}


def text(server: Server, provider: Simulator, hosts: list[Gateway]) -> str:
    """What there is, and what to type."""
    edge = os.path.relpath(Path(sys.executable).with_name("edge"))
    return TEXT.format(
        rate=LIMIT["requests_per_second"], burst=LIMIT["burst_size"], edge=edge, admin=hosts[0].admin,
        url=hosts[0].url, redis=server.port, valkey=server.process.pid, provider=provider.url,
        ports=" ".join(str(host.port) for host in hosts),
        hosts="\n".join(f"  gateway {number}  {host.url}, admin port {host.admin}, process {host.process.pid}, log "
                        f"{host.errors}" for number, host in enumerate(hosts, 1)),
        asked=ASKED)


def end(*_: object) -> None:
    """Once: what comes again must not disturb the end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    """Until it is interrupted."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    with suppress(KeyboardInterrupt), ExitStack() as stack:
        server = stack.enter_context(Server())
        provider = stack.enter_context(Simulator())
        hosts = [stack.enter_context(Gateway(configuration(server, provider))) for _ in range(HOSTS)]
        for host in hosts:
            host.wait(lambda host=host: host.metric("edge_fleet_hosts") == HOSTS)
        print(text(server, provider, hosts), flush=True)
        while True:
            signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())
