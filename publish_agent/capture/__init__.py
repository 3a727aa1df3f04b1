"""What happens on the caller's thread with an event that a query may want."""
