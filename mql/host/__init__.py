"""What the library uses of its process: threads, interruptions, the log, compiled code."""
