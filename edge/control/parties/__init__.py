"""Who stands behind keys: what an admin may say of each kind, and the routes."""
