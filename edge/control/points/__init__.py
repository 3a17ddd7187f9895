"""What requests have cost: into the store, and shown; what there is to spend: out of it."""
