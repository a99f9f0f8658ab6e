"""One treated place, or few: donors weighted to look like it."""
