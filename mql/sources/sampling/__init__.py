"""What a run looks at beside its query: a sample of the events, and names in all lines."""
