"""Windows of time, their panes, and event time."""
