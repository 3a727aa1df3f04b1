"""Warnings: messages that stop nothing, about what a query likely does not mean; pure."""
