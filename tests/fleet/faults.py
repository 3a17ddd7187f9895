"""What can happen to Redis and on the way to it: each fault is begun, lasts, and is ended, while requests go on."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType

import redis

from tests.fleet.server import Server, until
from tests.fleet.wire import Wire

OPTIONS = ("--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0")


class Stage:
    """A server and the wire to it, by which hosts come. Runs while the `with` block does."""

    def __init__(self) -> None:
        self.stack = ExitStack()
        self.server = Server(*OPTIONS)

    def __enter__(self) -> Stage:
        self.stack.enter_context(self.server)
        self.wire = self.stack.enter_context(Wire(self.server.port))
        self.url = self.wire.url
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stack.__exit__(kind, error, trace)


@dataclass(frozen=True, slots=True)
class Fault:
    """`run` begins and ends it, and lasts as long as the `with` block. `seen`: what hosts find that Redis is, if so."""

    name: str
    run: Callable[[Stage], contextlib.AbstractContextManager[None]]
    seen: str = ""


@contextmanager
def stopped(stage: Stage) -> Iterator[None]:
    """SIGSTOP."""
    stage.server.stop()
    yield
    stage.server.go_on()


@contextmanager
def slow(stage: Stage) -> Iterator[None]:
    """Each answer takes 200 ms."""
    stage.wire.delay = 0.2
    yield
    stage.wire.delay = 0.0


@contextmanager
def killed(stage: Stage) -> Iterator[None]:
    """Gone, and started again with nothing."""
    stage.server.kill()
    yield
    stage.server.start()


@contextmanager
def restarted(stage: Stage) -> Iterator[None]:
    """Started again at once with nothing."""
    stage.server.kill()
    stage.server.start()
    yield


@contextmanager
def held(stage: Stage) -> Iterator[None]:
    """Nothing comes through, and all of it later: a network that loses packets for a while."""
    stage.wire.hold()
    yield
    stage.wire.release()


@contextmanager
def half_open(stage: Stage) -> Iterator[None]:
    """Connections stay, and new ones are accepted, and nobody says anything on them."""
    stage.wire.silence()
    yield
    stage.wire.heal()


@contextmanager
def cut(stage: Stage) -> Iterator[None]:
    """All connections end, and again."""
    stage.wire.cut()
    yield
    stage.wire.reset()


def said(*words: object) -> Callable[[Stage], contextlib.AbstractContextManager[None]]:
    """Of an operator, once."""
    @contextmanager
    def run(stage: Stage) -> Iterator[None]:
        with stage.server.client() as looked:
            looked.execute_command(*words)
        yield
    return run


def set_to(begin: tuple[object, ...], end: tuple[object, ...]) -> Callable[
        [Stage], contextlib.AbstractContextManager[None]]:
    """Of an operator, who takes it back."""
    @contextmanager
    def run(stage: Stage) -> Iterator[None]:
        with stage.server.client() as looked:
            looked.execute_command(*begin)
            yield
            looked.execute_command(*end)
    return run


@contextmanager
def loading(stage: Stage) -> Iterator[None]:
    """It reads its data for as long as it takes: LOADING."""
    with stage.server.client() as looked, stage.server.client() as other:
        looked.execute_command("DEBUG", "POPULATE", 1000)
        for name, value in (("key-load-delay", 2000), ("loading-process-events-interval-bytes", 1024)):
            looked.config_set(name, value)
        thread = threading.Thread(target=lambda: _patient(stage.server).execute_command("DEBUG", "RELOAD"))
        thread.start()
        yield
        with contextlib.suppress(redis.RedisError):
            other.config_set("key-load-delay", 0)
        thread.join()


@contextmanager
def busy(stage: Stage) -> Iterator[None]:
    """Somebody's script does not end: BUSY."""
    def run() -> None:
        with contextlib.suppress(redis.RedisError):
            _patient(stage.server).eval("while true do end", 0)

    with stage.server.client() as looked:
        looked.config_set("busy-reply-threshold", 50)
        thread = threading.Thread(target=run)
        thread.start()
        yield
        looked.execute_command("SCRIPT", "KILL")
        thread.join()


@contextmanager
def lagging(stage: Stage) -> Iterator[None]:
    """A replica that has not heard the master's last words takes its place."""
    link, replica = stage.stack.enter_context(Wire(stage.server.port)), stage.stack.enter_context(Server(*OPTIONS))
    with replica.client() as looked:
        looked.replicaof("127.0.0.1", str(link.port))
        until(lambda: looked.info("replication").get("master_link_status") == "up")
        link.hold()
        yield
        stage.server.kill()
        looked.replicaof("NO", "ONE")
    stage.server, stage.wire.to = replica, replica.port


TAKEN = "redis.call('DEL', KEYS[1]) redis.call('HSET', KEYS[1], 'not', 'ours')"


def _patient(server: Server) -> redis.Redis:
    return redis.Redis(port=server.port, socket_timeout=60)


FAULTS = (
    Fault("stopped", stopped, "away"), Fault("200 ms an answer", slow, "slow"), Fault("killed", killed, "away"),
    Fault("restarted empty", restarted), Fault("FLUSHALL", said("FLUSHALL")),
    Fault("packets lost", held, "away"), Fault("half-open", half_open, "away"), Fault("cut and reset", cut),
    Fault("READONLY", set_to(("REPLICAOF", "127.0.0.1", 1), ("REPLICAOF", "NO", "ONE")), "away"),
    Fault("OOM", set_to(("CONFIG", "SET", "maxmemory", 1), ("CONFIG", "SET", "maxmemory", 0)), "away"),
    Fault("LOADING", loading, "away"), Fault("BUSY", busy, "away"),
    Fault("NOSCRIPT", said("SCRIPT", "FLUSH")),
    Fault("NOPERM", set_to(("ACL", "SETUSER", "default", "-evalsha", "-eval"), ("ACL", "SETUSER", "default", "+@all")),
          "away"),
    Fault("WRONGTYPE", set_to(("EVAL", TAKEN, 1, "{edge:0}:epoch"), ("DEL", "{edge:0}:epoch"))),
    Fault("lagging replica promoted", lagging),
)
