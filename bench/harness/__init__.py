"""What the measurements share: processes, targets, loads, interleaved rounds and tables."""
