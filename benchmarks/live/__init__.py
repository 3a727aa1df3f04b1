"""Real processes and sockets: what agents cost their hosts, and how fast answers come."""
