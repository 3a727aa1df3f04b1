"""Answers about live events beside other Python tools."""
