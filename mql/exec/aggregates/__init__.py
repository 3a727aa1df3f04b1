"""Aggregate functions: the states of all groups, merged and finished."""
