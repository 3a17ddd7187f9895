"""What every process of the gateway is made of: its title and log, descriptors and sockets, the channel between two."""
