"""Keys that admins make, and what admins did, in a database: one interface (`Store`), and SQLite behind it.

Control writes, in a thread of its own; the configuration's reader takes the keys; workers know nothing of it.
"""

from edge.store.keys import made
from edge.store.rows import Deed, Entry, Row, Secrets, Store, Taken, Unavailable
from edge.store.sqlite import SQLite, clients

__all__ = ["Deed", "Entry", "Row", "SQLite", "Secrets", "Store", "Taken", "Unavailable", "clients", "made"]
