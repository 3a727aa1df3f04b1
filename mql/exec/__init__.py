"""Operators that run a plan over Arrow batches."""
