"""Events without a schema as Arrow columns."""
