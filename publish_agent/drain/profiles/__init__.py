"""Looks at events of a stream, and what has been learned of it."""
