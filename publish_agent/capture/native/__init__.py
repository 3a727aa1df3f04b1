"""The compiled publish path: its C code, and its binding."""
