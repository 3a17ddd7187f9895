"""Redis as control speaks with it: one connection, one call at a time, no retries, and every error with its reason.

Scripts go by their hash; a server that does not know one is told it, and one that may not be told gets it each time.
The run of the server is asked for at each connection: with another one (a restart, a failover) a new epoch begins.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge.values.snapshot import Redis

TIMEOUT = 0.5               # seconds for a connection, and for an answer: half of what units are lent for


class Script:
    """A file beside this one."""

    def __init__(self, name: str) -> None:
        self.text = files(__package__).joinpath(f"{name}.lua").read_text()
        self.hash = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Call:
    """A script with its keys, which lie in one slot, and what it is given: of the server's run, `None` becomes that."""

    script: Script
    keys: Sequence[str]
    arguments: Sequence[object]


class Unavailable(Exception):
    """Redis cannot be used; the text says why."""


class Server:
    """One Redis, whatever it is made of. `warn` is told what an operator should know."""

    def __init__(self, redis: Redis, warn: Callable[[str], None]) -> None:
        self.redis = redis
        self.warn = warn
        self.client: Any = None
        self.run = ""
        self.runs: dict[str, str] = {}
        self.plain = False

    async def call(self, calls: Sequence[Call]) -> list[Any]:
        """All answers; an error in the place of one that failed alone. Unavailable: there is none."""
        from redis.exceptions import RedisClusterException, RedisError

        try:
            async with asyncio.timeout(TIMEOUT):
                return await (self._call_cluster(calls) if self.redis.kind == "cluster" else self._call(calls))
        except TimeoutError:
            await self._hang_up()
            hint = "; does it speak TLS?" if self.redis.tls else ""
            raise Unavailable(f"it does not answer within {TIMEOUT:g} s{hint}") from None
        except (RedisError, RedisClusterException, OSError) as error:
            await self._hang_up()
            raise Unavailable(reason(error)) from None

    async def close(self) -> None:
        """For good."""
        client, self.client = self.client, None
        if client is not None:
            with contextlib.suppress(Exception):
                await client.aclose()

    async def _call(self, calls: Sequence[Call]) -> list[Any]:
        if self.client is None:
            self.client = self._connected()
        while True:
            pipe = self.client.pipeline(transaction=False)
            pipe.connection = await self.client.connection_pool.get_connection()     # so that the run is known
            for call in calls:
                self._put(pipe, call, self.run)
            answers = await pipe.execute(raise_on_error=False)
            if not await self._taught(calls, answers, self.client.execute_command):
                return list(answers)

    def _put(self, pipe: Any, call: Call, run: str) -> Any:
        arguments = [run if each is None else each for each in call.arguments]
        if self.plain:
            return pipe.eval(call.script.text, len(call.keys), *call.keys, *arguments)
        return pipe.evalsha(call.script.hash, len(call.keys), *call.keys, *arguments)

    async def _taught(self, calls: Sequence[Call], answers: Sequence[Any],
                      execute: Callable[..., Awaitable[Any]]) -> bool:
        """Whether a script was unknown, and is not any more. None of its calls has been heard then."""
        from redis.exceptions import NoPermissionError, NoScriptError, ResponseError

        if isinstance(answers[0], ResponseError) and not isinstance(answers[0], NoScriptError):
            raise answers[0]
        if not any(isinstance(answer, NoScriptError) for answer in answers):
            return False
        if self.plain:
            raise Unavailable("it knows no script that it was just told")
        try:
            for script in {call.script for call in calls}:
                await execute("SCRIPT LOAD", script.text)
        except (NoPermissionError, ResponseError):
            self.plain = True
            self.warn("Redis lets us run scripts, but not load them: they are sent with each call (SCRIPT LOAD would "
                      "save that)")
        return True

    async def _call_cluster(self, calls: Sequence[Call]) -> list[Any]:
        from redis.exceptions import ResponseError

        if self.client is None:
            self.client = await self._clustered().initialize()
            self.runs = {}
        nodes = [self.client.get_node_from_key(call.keys[0]) for call in calls]
        for node in {node.name: node for node in nodes}.values():
            if node.name not in self.runs:
                self.runs[node.name] = (await self.client.info("server", target_nodes=node))["run_id"]
        while True:
            answers = await asyncio.gather(
                *(self._put(self.client, call, self.runs[node.name]) for call, node in zip(calls, nodes, strict=True)),
                return_exceptions=True)
            for answer in answers:
                if isinstance(answer, BaseException) and not isinstance(answer, ResponseError):
                    raise answer
            load = lambda *words: self.client.execute_command(*words, target_nodes="primaries")    # noqa: E731
            if not await self._taught(calls, answers, load):
                return list(answers)

    async def _hang_up(self) -> None:
        """A connection that something may still come on is not used again."""
        self.runs = {}
        if self.redis.kind == "cluster":
            await self.close()
        elif self.client is not None:
            with contextlib.suppress(Exception):
                await self.client.connection_pool.disconnect()

    def _options(self) -> dict[str, Any]:
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        redis = self.redis
        options: dict[str, Any] = {
            "username": redis.username, "password": redis.password.reveal() if redis.password else None,
            "socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT, "retry": Retry(NoBackoff(), 0),
            "decode_responses": True, "protocol": 2}
        if redis.tls:
            options |= {"ssl": True, "ssl_ca_certs": redis.ca_bundle}
        return options

    def _connected(self) -> Any:
        from redis.asyncio import Redis
        from redis.asyncio.sentinel import Sentinel

        options = {**self._options(), "db": self.redis.database, "max_connections": 1,
                   "redis_connect_func": self._greet}
        if self.redis.kind == "sentinel":
            sentinel = {name: value for name, value in self._options().items() if name not in ("username", "password")}
            return Sentinel(    # type: ignore[no-untyped-call]
                self.redis.nodes, sentinel_kwargs=sentinel).master_for(self.redis.master, **options)
        host, port = self.redis.nodes[0]
        return Redis(host=host, port=port, **options)

    def _clustered(self) -> Any:
        from redis.asyncio.cluster import ClusterNode, RedisCluster

        return RedisCluster(startup_nodes=[ClusterNode(host, port) for host, port in self.redis.nodes],
                            cluster_error_retry_attempts=1, require_full_coverage=False, **self._options())

    async def _greet(self, connection: Any) -> None:
        """What is asked of a server before anything else."""
        await connection.on_connect()
        server, memory = await self._info(connection, "server"), await self._info(connection, "memory")
        self.run = server.get("run_id", "unknown")
        policy = memory.get("maxmemory_policy", "noeviction")
        if memory.get("maxmemory", "0") != "0" and policy != "noeviction":
            self.warn(f"Redis may throw limits away (maxmemory-policy {policy}): set noeviction there")

    @staticmethod
    async def _info(connection: Any, section: str) -> dict[str, str]:
        await connection.send_command("INFO", section)
        text = await connection.read_response()
        return dict(line.split(":", 1) for line in str(text).splitlines() if ":" in line)


def reason(error: Exception) -> str:
    """What an operator reads of it."""
    from redis.exceptions import AuthenticationError, NoPermissionError

    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, AuthenticationError) or text.startswith(("NOAUTH", "WRONGPASS", "invalid username")):
        return f"it does not know us ({text}): check redis.username and redis.password"
    if isinstance(error, NoPermissionError):
        return f"it does not let us ({text}): its ACL must allow evalsha, eval, script and info on our keys"
    if text.startswith("WRONGTYPE") or "WRONGTYPE" in text:
        return f"another program's key is in our place ({text}): choose another redis.prefix"
    return text
