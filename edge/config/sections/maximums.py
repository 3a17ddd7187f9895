"""What the compiled part has room for."""

from __future__ import annotations

MAX_WORKERS = 64            # rows of the shared memory (slab.pxd)
MAX_KEYS = 65535            # of a file: more of them belong into the store
MAX_PROVIDER_KEYS = 32      # places of benched keys in a target's record
MAX_PLAN = 64               # targets of a model: bits of those that a request has tried
# Heads are put together in buffers of a fixed size, into which all of these fit at once (gateway.pyx).
MAX_HEAD = 65536            # bytes of a client's head
MAX_URL = 2048              # characters of a base URL
MAX_HEADERS = 16384         # bytes of all headers of a provider
MAX_SECRET = 8192           # bytes of a secret
MAX_MODEL = 512             # characters of a model's name
MAX_FIELD_NAME = 256        # bytes of a header's name, as of clients' (head.pxd)
