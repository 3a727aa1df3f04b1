"""From a query's syntax to what runs where: bind, rewrite, find the needed fields, split."""
