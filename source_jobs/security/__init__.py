"""Who may connect to a source job: keys, allow-lists, addresses, newcomers."""
