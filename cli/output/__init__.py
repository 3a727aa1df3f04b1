"""How rows become output: tables for people, JSON lines, CSV, Arrow and Parquet."""
