"""Queries that run for callers over HTTP, and what their readers get."""
