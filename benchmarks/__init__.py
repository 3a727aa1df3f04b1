"""Benchmarks: a deterministic event generator and comparisons with other tools over files."""
