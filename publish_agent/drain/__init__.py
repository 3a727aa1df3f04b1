"""What the background thread does with captured events."""
