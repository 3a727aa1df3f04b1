"""The text of a query: grammar, parser, syntax tree, and back to text."""
