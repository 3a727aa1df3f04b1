"""Planning queries beside the event loop."""
