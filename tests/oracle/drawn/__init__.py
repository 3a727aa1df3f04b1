"""What Hypothesis draws: events, values and conditions, sources that have names."""
