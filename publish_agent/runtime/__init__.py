"""What an agent uses of its process: threads, sockets, names, keys, memory, the log."""
