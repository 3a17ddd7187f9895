"""What the two dialects look like from outside, as data: kinds of providers, and the data port's routes."""
