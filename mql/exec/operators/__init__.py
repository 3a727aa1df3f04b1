"""The operators of a running plan."""
