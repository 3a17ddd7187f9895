"""Keys that admins make, who stands behind them, and what admins did: one interface, SQLite and PostgreSQL behind it.

Control writes, in a thread of its own; a start reads all of it once; workers know nothing of it.
"""

from edge.store.clashes import clashes
from edge.store.filling import fill, stored
from edge.store.interface import Changes, Session, Store
from edge.store.keys import made, made_party
from edge.store.opening import lost, opened
from edge.store.rows import Deed, Entry, Party, Row, Secrets, Taken, Unavailable
from edge.store.tables import KEYS, PARTIES, Table

__all__ = ["KEYS", "PARTIES", "Changes", "Deed", "Entry", "Party", "Row", "Secrets", "Session", "Store", "Table",
           "Taken", "Unavailable", "clashes", "fill", "lost", "made", "made_party", "opened", "stored"]
