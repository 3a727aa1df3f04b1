"""`mql run` beside DuckDB, polars and jq over one file of events."""
