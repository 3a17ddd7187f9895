"""JSON in place: where a body's members are, without an object for any of them."""
