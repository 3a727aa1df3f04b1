"""Connections of the HTTP server: how many, and for how long."""
