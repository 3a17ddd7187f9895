"""Checked settings made into a Snapshot, by what needs more than one key, another file or the environment."""
