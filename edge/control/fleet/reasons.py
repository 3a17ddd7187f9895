"""What an operator reads of an error: what is wrong, and where the way out of it is."""

from __future__ import annotations

import socket
import ssl

import hiredis

from edge.values.snapshot import Redis

TIMEOUT = 0.5               # seconds for a connection, and for the answers to a call: half of what units are lent for


class Unavailable(Exception):
    """Redis cannot be used; the text says why."""


LOGIN = "it does not know us ({text}): check redis.username and redis.password"
RIGHTS = "it does not let us ({text}): its ACL must allow evalsha, eval, script and info on our keys"
CLUSTER = "it is one of a cluster ({text}): redis.url must begin with redis+cluster:// or rediss+cluster://"
MOVING = "its slots are on the move ({text})"
NO_CLUSTER = "it is no cluster ({text}): redis.url must begin with redis:// or rediss://"
NO_SENTINEL = "it is no sentinel ({text}): redis.url must name sentinels, or begin with redis:// or rediss://"
PLAIN = "it does not speak TLS ({text}): redis.url must begin with redis, not rediss, or name its port for TLS"
TLS = "it speaks TLS ({text}): redis.url must begin with rediss, not redis"

SERVERS = {
    "NOAUTH": LOGIN, "WRONGPASS": LOGIN, "NOPERM": RIGHTS,
    "DENIED": "it is in protected mode: give it a password, and redis.password",
    "LOADING": "it still reads its data ({text})",
    "BUSY": "somebody's script keeps it busy ({text})",
    "READONLY": "it is a replica ({text}): redis.url must name the master, or its sentinels",
    "MASTERDOWN": "it is a replica without its master ({text}): redis.url must name the master, or its sentinels",
    "OOM": "its memory is full ({text}): raise its maxmemory, or see whose keys it holds",
    "MISCONF": "it cannot write to its disk ({text}): its own log says why",
    "NOREPLICAS": "it has too few replicas ({text}): see its min-replicas-to-write",
    "MOVED": CLUSTER, "ASK": CLUSTER, "CROSSSLOT": CLUSTER,
    "TRYAGAIN": MOVING,
    "CLUSTERDOWN": "its cluster does not serve all slots ({text})",
}
"""Errors of a whole server, by the first word of their text. All others are of one call alone."""

TEXTS = {
    "ERR invalid password": LOGIN, "ERR Client sent AUTH": LOGIN, "ERR AUTH <password> called": LOGIN,
    "ERR max number of clients": "it has too many connections ({text}): see its maxclients",
    "ERR DB index": "redis.url names a database that it does not have ({text})",
    "ERR SELECT is not allowed in cluster mode": CLUSTER,
    "ERR This instance has cluster support disabled": NO_CLUSTER,
    "ERR unknown command 'SENTINEL'": NO_SENTINEL, "ERR unknown command `SENTINEL`": NO_SENTINEL,
    "WRONGTYPE": "another program's key is in our place ({text}): choose another redis.prefix, or remove the key",
}
"""By how the text begins."""


def of_server(error: Exception) -> bool:
    """Whether what Redis said of a call is so for every call."""
    return isinstance(error, hiredis.ReplyError) and str(error).partition(" ")[0] in SERVERS


def reason(error: BaseException, redis: Redis) -> str:
    """What is wrong, and where the way out is, as far as an error tells."""
    text = str(error).splitlines()[0].strip() if str(error).strip() else type(error).__name__
    return _pattern(error, text, redis).format(text=text, limit=TIMEOUT)


def _pattern(error: BaseException, text: str, redis: Redis) -> str:
    if isinstance(error, hiredis.ReplyError):
        found = next((hint for begin, hint in TEXTS.items() if text.startswith(begin)), "{text}")
        found = SERVERS.get(text.partition(" ")[0], found)
        return MOVING if found is CLUSTER and redis.kind == "cluster" else found
    if isinstance(error, ssl.SSLCertVerificationError):
        return "we do not trust its certificate ({text}): check redis.ca_bundle, and the name in redis.url"
    if isinstance(error, ssl.SSLError):
        return PLAIN
    if isinstance(error, hiredis.ProtocolError):
        return TLS if "\\x15" in text and not redis.tls else "it does not speak as Redis does ({text}): check redis.url"
    if isinstance(error, socket.gaierror):
        return "its name has no address ({text}): check redis.url"
    if isinstance(error, TimeoutError):
        return "it does not answer within {limit:g} s" + ("; does it speak TLS, as in redis.url?" if redis.tls else "")
    return "{text}"
