"""Who may ask over HTTP, what, and how often."""
