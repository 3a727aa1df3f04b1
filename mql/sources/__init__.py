"""Where recorded events come from: files, pipes, and what a program already holds."""
