"""The way to an address: how one is written, found, connected to; and what a request to a provider begins with."""
