"""What dialects look like from outside, as data: kinds of providers, surfaces of clients, the data port's routes."""
