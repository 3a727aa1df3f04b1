"""From the grammar's parse tree to syntax, bottom up: one method a rule."""
