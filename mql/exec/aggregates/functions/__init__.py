"""The aggregate functions, a kind a file; `make.py` beside this folder has their table."""
