"""Events as they come, made batches: only the needed fields, with types learned on the way."""
