"""What all processes agree on: one version of the configuration, the indices of its names, the figures under them."""
