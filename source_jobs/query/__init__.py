"""One query in a source job: parts of agents in, pieces of its answer out. Pure."""
