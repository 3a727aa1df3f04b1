"""Expressions and conditions over a batch."""
