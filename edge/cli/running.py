"""How commands find a running gateway and talk to it: one request, never through a proxy."""

from __future__ import annotations

import http.client
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import click
import orjson

from edge.config import ConfigError, peek
from edge.net.addresses import url_of
from edge.process import pidfile
from edge.values.printable import printable

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


class Said(dict[str, Any]):
    """An answer's members. One that is not there was never an admin port's, or is another version's."""

    def __init__(self, url: str, members: dict[str, Any]) -> None:
        super().__init__(members)
        self.url = url

    def __missing__(self, name: str) -> Any:
        raise click.ClickException(f"{self.url}: answered without {name}: it is no admin port of this version of edge")


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
        status, said = ask(f"{self.url}{path}", timeout, ADMIN, body=body, key=self.key, method=method)
        try:
            return status, Said(self.url, orjson.loads(said))
        except (ValueError, TypeError):
            raise click.ClickException(f"{self.url}: answered {status}, and not as an admin port does") from None

    def wrong(self, status: int, answer: dict[str, Any]) -> str:
        """An error answer in words."""
        try:
            error = answer.get("error", {})
            said = printable(error if isinstance(error, str) else error["message"])
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
    if not snapshot.admin_port:
        raise click.UsageError("admin.port is 0, so that the kernel chose it: give --admin or --pidfile")
    configured = snapshot.admin_key
    return Admin(url_of(snapshot.admin_addr, snapshot.admin_port), key or (configured.reveal() if configured else None))


def by_pidfile(port: int | None) -> pidfile.Running | None:
    """The gateway of a usual pidfile, if its admin port is this one; None is any."""
    for path in pidfile.places(os.environ, port or 0):
        running = pidfile.read(path)
        if running is not None and (not port or urlsplit(running.admin).port == port):
            return running
    return None


class Way(NamedTuple):
    """How somebody is asked: the option that names the URL, and what the connection begins with."""

    option: str
    begin: bytes = b""


ADMIN = Way("--admin")


def ask(url: str, timeout: float, way: Way, *, body: bytes | None = None, key: str | None = None,
        method: str | None = None) -> tuple[int, bytes]:
    """Status and body of a GET, or of a POST where there is a `body`, or of `method`. ClickException: no answer."""
    scheme, host, port, target = parts(url, way.option)
    connection = (http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection)(
        host, port, timeout=timeout)
    headers = {"authorization": f"Bearer {bearer(key)}"} if key else {}
    try:
        connection.connect()
        connection.sock.sendall(way.begin)
        connection.request(method or ("GET" if body is None else "POST"), target, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        refused = f"nothing listens there; is edge running? {way.option} names another" if isinstance(
            error, ConnectionRefusedError) else printable(error) or type(error).__name__
        raise click.ClickException(f"{url}: {refused}") from None
    finally:
        connection.close()


def parts(url: str, option: str) -> tuple[str, str, int | None, str]:
    """Scheme, host, port, and path with query. BadParameter: it is no URL that can be asked."""
    try:
        found = urlsplit(url)
        host, port = found.hostname, found.port
    except ValueError:
        host = port = None
    if host is None or found.scheme not in ("http", "https") or not (url.isascii() and url.isprintable()) or " " in url:
        raise click.BadParameter(f"must be an http:// or https:// URL, got {printable(url)}", param_hint=option)
    return found.scheme, host, port, f"{found.path or '/'}{'?' if found.query else ''}{found.query}"


def bearer(key: str) -> str:
    """A key as it stands in a field. BadParameter: it cannot."""
    if not (key.isascii() and key.isprintable()):
        raise click.BadParameter("a key is printable ASCII, and nothing else", param_hint="--key")
    return key
