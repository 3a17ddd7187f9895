"""Keys that admins make, who stands behind them, and what admins did: one interface, SQLite and PostgreSQL behind it.

Control writes, in a thread of its own; the configuration's reader takes the keys; workers know nothing of it.
"""

from edge.store.interface import Changes, Mark, Session, Store, Stored
from edge.store.keys import made, made_party
from edge.store.opening import clients, lost, opened
from edge.store.rows import Deed, Entry, Party, Row, Secrets, Taken, Unavailable
from edge.store.tables import KEYS, PARTIES, Table

__all__ = ["KEYS", "PARTIES", "Changes", "Deed", "Entry", "Mark", "Party", "Row", "Secrets", "Session", "Store",
           "Stored", "Table", "Taken", "Unavailable", "clients", "lost", "made", "made_party", "opened"]
