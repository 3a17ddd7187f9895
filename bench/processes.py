"""Memory of each of edge's processes with one worker: after a start, requests and scrapes.

What they share counts for each in parts, and what they share with strangers in full, so that the sum is what the
gateway takes on a machine of its own. A start before it, which may have to compile modules, is not counted.
"""

from __future__ import annotations

import sys
import urllib.request
from pathlib import Path

import click
from harness.load import KEY, chat_body
from harness.processes import LOAD_CORE, TARGET_CORE, Stage, Trouble, free_port, own_kilobytes

EDGE = str(Path(sys.executable).with_name("edge"))
FILE = """\
port: {port}
listen_addr: 127.0.0.1
admin: {{port: {admin}}}
workers: 1
providers: {{openai: {{base_url: 'http://127.0.0.1:{simulator}/v1', key: sk-provider-0123456789}}}}
keys: [{{name: bench, key: {key}}}]
"""


@click.command(help=__doc__, context_settings={"show_default": True})
@click.option("--requests", "count", default=200, help="plain chat requests before")
@click.option("--scrapes", default=5, help="of /metrics")
def main(count: int, scrapes: int) -> None:
    """Prints a line per process and the sum, in KB."""
    measured(1, 1)
    found = measured(count, scrapes)
    for name, size in (*found.items(), ("in all", sum(found.values()))):
        print(f"{name:24} {size:6} KB")


def measured(count: int, scrapes: int) -> dict[str, int]:
    """KB of each process of a gateway that has answered so many requests and scrapes."""
    port, admin, simulator = free_port(), free_port(), free_port()
    with Stage() as stage:
        file = stage.folder / "edge.yaml"
        file.write_text(FILE.format(port=port, admin=admin, simulator=simulator, key=KEY))
        stage.start("simulator", [EDGE, "simulate", "--port", str(simulator)], LOAD_CORE, simulator)
        gateway = stage.start("edge", [EDGE, "serve", "--config", str(file)], TARGET_CORE, admin)
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        asked = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", chat_body(1024), headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for _ in range(count):
            opener.open(asked).read()
        for _ in range(scrapes):
            opener.open(f"http://127.0.0.1:{admin}/metrics").read()
        return own_kilobytes(gateway.pid)


if __name__ == "__main__":
    try:
        main()
    except Trouble as trouble:
        sys.exit(f"processes: {trouble}")
