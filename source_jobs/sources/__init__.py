"""Where a source job's events come from, beside agents: other source jobs (`--from`)."""
