"""Keys that admins make: what they ask for, checked; what becomes of a key; the store's thread; the routes."""
