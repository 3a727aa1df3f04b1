"""Values of events as JSON has them, whatever Python objects they come from."""
