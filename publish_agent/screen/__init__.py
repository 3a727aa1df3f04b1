"""Which events a query may want: the code that decides on the caller's thread."""
