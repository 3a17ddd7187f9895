"""How commands find a running gateway and talk to it: one request, never through a proxy."""

from __future__ import annotations

import http.client
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import orjson

from edge.config import ConfigError, peek
from edge.net.addresses import url_of
from edge.process import pidfile

UNAUTHORIZED, FORBIDDEN = 401, 403


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options by which a running gateway is found; the command takes them as `admin`, `key`, `pid`, `path`."""
    for option in (
            click.option("--key", envvar="EDGE_ADMIN_KEY", show_envvar=True,
                         help="The admin key; the configured one, for the configured port, unless given."),
            click.option("--pidfile", "pid", envvar="EDGE_PIDFILE", show_envvar=True, metavar="FILE",
                         help="That of `edge serve`; looked for in the runtime directory unless given."),
            click.option("--config", "path", metavar="FILE", help="The configuration that names the admin port; "
                         "looked for as `edge serve` does unless given."),
            click.option("--admin", metavar="URL", help="The URL of the admin port.")):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Admin:
    """A running gateway's admin port. `running` is its process, where a pidfile of this machine tells of it."""

    url: str
    key: str | None
    running: pidfile.Running | None = None

    def ask(self, path: str, timeout: float, *, body: bytes | None = None, method: str | None = None) -> dict[str, Any]:
        """The JSON of an answer of 2xx. ClickException: another, or none."""
        status, answer = self.answer(path, timeout, body=body, method=method)
        if not 200 <= status < 300:
            raise click.ClickException(self.wrong(status, answer))
        return answer

    def answer(self, path: str, timeout: float, *, body: bytes | None = None,
               method: str | None = None) -> tuple[int, dict[str, Any]]:
        """Status and JSON. ClickException: there is no answer, or none of an admin port's."""
        status, said = ask(f"{self.url}{path}", timeout, option="--admin", body=body, key=self.key, method=method)
        try:
            answer = orjson.loads(said)
            assert isinstance(answer, dict)
            return status, answer
        except (ValueError, AssertionError):
            raise click.ClickException(f"{self.url}: answered {status}, and not as an admin port does") from None

    def wrong(self, status: int, answer: dict[str, Any]) -> str:
        """An error answer in words."""
        try:
            error = answer["error"]
            said = error if isinstance(error, str) else str(error["message"])
        except (KeyError, TypeError):
            said = f"answered {status}"
        hint = "; give --key, or EDGE_ADMIN_KEY" if status in (UNAUTHORIZED, FORBIDDEN) else ""
        return f"{self.url}: {said}{hint}"


def find(admin: str | None, key: str | None, pid: str | None, path: str | None) -> Admin:
    """The gateway that is meant: by URL, by a pidfile, or by the configuration. UsageError, ClickException."""
    if admin is not None:
        return Admin(admin.rstrip("/"), key)
    if pid is not None:
        running = pidfile.read(Path(pid))
        if running is None:
            raise click.ClickException(f"{pid}: no edge runs by it")
        return Admin(running.admin, key or running.token, running)
    try:
        snapshot = peek(path).snapshot
    except ConfigError as error:
        running = by_pidfile(None)
        if running is None:
            raise click.UsageError(f"{error.problems[0]}; give --admin or --pidfile") from None
        return Admin(running.admin, key or running.token, running)
    running = by_pidfile(snapshot.admin_port)
    if running is not None:
        return Admin(running.admin, key or running.token, running)
    configured = snapshot.admin_key
    return Admin(url_of(snapshot.admin_addr, snapshot.admin_port), key or (configured.reveal() if configured else None))


def by_pidfile(port: int | None) -> pidfile.Running | None:
    """The gateway of a usual pidfile, if its admin port is this one; None is any."""
    for path in pidfile.places(os.environ, port or 0):
        running = pidfile.read(path)
        if running is not None and (not port or urlsplit(running.admin).port == port):
            return running
    return None


def ask(url: str, timeout: float, *, option: str, body: bytes | None = None,
        key: str | None = None, method: str | None = None) -> tuple[int, bytes]:
    """Status and body of a GET, or of a POST where there is a `body`, or of `method`. ClickException: no answer."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise click.BadParameter("an http:// or https:// URL", param_hint=option)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=timeout)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        connection.request(method or ("GET" if body is None else "POST"),
                           f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}", body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        refused = f"nothing listens there; is edge running? {option} names another" if isinstance(
            error, ConnectionRefusedError) else error or type(error).__name__
        raise click.ClickException(f"{url}: {refused}") from None
    finally:
        connection.close()
