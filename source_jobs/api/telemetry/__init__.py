"""The HTTP server's log lines and metrics."""
