"""The store's versions: each is a script that makes it of the one before. There is no way back but a backup."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from edge.store.interface import Session
from edge.store.rows import Unavailable

# Never changed once released, only added to. The number of a version is its place, from 1.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    ("""CREATE TABLE keys (
            id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, masked TEXT NOT NULL, digest BLOB NOT NULL UNIQUE,
            former BLOB, until REAL NOT NULL, state TEXT NOT NULL, policy TEXT NOT NULL, metadata TEXT NOT NULL,
            tags TEXT NOT NULL, version INTEGER NOT NULL, created REAL NOT NULL, changed REAL NOT NULL
        ) WITHOUT ROWID""",
     """CREATE TABLE audit (
            number INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL,
            request TEXT NOT NULL, key TEXT NOT NULL, before TEXT, after TEXT
        )""",
     "CREATE INDEX audit_of_key ON audit (key, number)"),
    (*(f"""CREATE TABLE {kind}s (
            number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, state TEXT NOT NULL,
            policy TEXT NOT NULL, metadata TEXT NOT NULL, version INTEGER NOT NULL, created REAL NOT NULL,
            changed REAL NOT NULL
        )""" for kind in ("account", "user", "group", "workspace")),
     *(f"""CREATE INDEX keys_of_{kind} ON keys (json_extract(policy, '$.{kind}'))
            WHERE json_extract(policy, '$.{kind}') IS NOT NULL"""
       for kind in ("account", "user", "group", "workspace"))),
    # Points are micro-points. `boot` and `worker` say whose journal an entry is from; 0: it is a credit.
    ("""CREATE TABLE ledger (
            boot INTEGER, worker INTEGER, number INTEGER, time INTEGER NOT NULL, account INTEGER NOT NULL,
            key TEXT NOT NULL, model TEXT NOT NULL, request TEXT NOT NULL, input INTEGER NOT NULL,
            cached INTEGER NOT NULL, output INTEGER NOT NULL, points INTEGER NOT NULL, estimated INTEGER NOT NULL,
            PRIMARY KEY (boot, worker, number)
        ) WITHOUT ROWID""",
     """CREATE TABLE hours (
            hour INTEGER, account INTEGER, key TEXT, model TEXT, requests INTEGER NOT NULL, input INTEGER NOT NULL,
            cached INTEGER NOT NULL, output INTEGER NOT NULL, points INTEGER NOT NULL, estimated INTEGER NOT NULL,
            PRIMARY KEY (hour, account, key, model)
        ) WITHOUT ROWID""",
     "CREATE INDEX hours_of_key ON hours (key, hour, points)",
     # What an owner has spent: of one memory's time, and, with boot 0, ever.
     "CREATE TABLE spent (boot INTEGER, owner TEXT, points INTEGER NOT NULL, PRIMARY KEY (boot, owner)) WITHOUT ROWID",
     "CREATE TABLE credited (account INTEGER PRIMARY KEY, points INTEGER NOT NULL)",
     # The number of each journal's next entry.
     """CREATE TABLE marks (boot INTEGER, worker INTEGER, number INTEGER NOT NULL, PRIMARY KEY (boot, worker))
        WITHOUT ROWID"""),
    # What other hosts ask for: the digests, in hex, that are nobody's since an entry; who was posted or credited when:
    # each transaction that does so has the next number.
    ("ALTER TABLE audit ADD COLUMN ended TEXT",
     "ALTER TABLE spent ADD COLUMN turn INTEGER NOT NULL DEFAULT 0",
     "CREATE INDEX spent_by_turn ON spent (turn) WHERE boot = 0",
     "ALTER TABLE credited ADD COLUMN turn INTEGER NOT NULL DEFAULT 0",
     "CREATE INDEX credited_by_turn ON credited (turn)"),
    ("CREATE INDEX keys_of_former ON keys (former) WHERE former IS NOT NULL",
     "CREATE INDEX audit_of_name ON audit (json_extract(coalesce(after, before), '$.name'), number)"),
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """What databases say in words of their own."""

    begin: str                  # a transaction that writes, beside no other that does
    commit: str                 # what it has written
    moment: str                 # a transaction that reads, all as it is at one moment
    version: str                # asks which it is, 0 of an empty database
    set_version: str            # with {} where the number goes


def version(session: Session, dialect: Dialect) -> int:
    """0 of an empty database."""
    return int(session.execute(dialect.version).fetchone()[0])


def check(session: Session, dialect: Dialect) -> int:
    """The version. Unavailable: a newer program's, of which this one knows nothing."""
    found = version(session, dialect)
    if found > len(MIGRATIONS):
        raise Unavailable(f"it is of version {found}, and this edge knows versions up to {len(MIGRATIONS)}: run the "
                          "edge that has migrated it, or restore a backup from before")
    return found


def migrate(session: Session, dialect: Dialect) -> int:
    """Up to the newest version, and the version from which it came.

    Under the lock of writers: of two programs one waits, and then finds that there is nothing to do.
    """
    before = check(session, dialect)
    if before == len(MIGRATIONS):
        return before
    try:
        session.execute(dialect.begin)
        before = steps(session, dialect)
        session.execute(dialect.commit)
    except BaseException:
        with suppress(Exception):               # it may have been taken back by itself
            session.execute("ROLLBACK")
        raise
    return before


def steps(session: Session, dialect: Dialect) -> int:
    """All that are left to do, in the transaction that is under way; the version before."""
    before = check(session, dialect)
    for statements in MIGRATIONS[before:]:
        for statement in statements:
            session.execute(statement)
    if before < len(MIGRATIONS):
        session.execute(dialect.set_version.format(len(MIGRATIONS)))
    return before
