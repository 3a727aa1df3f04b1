"""The agent's half of a query: its plan, and the operators that follow from it."""
