"""What an agent costs its host, and what it does to stay inside its budget."""
