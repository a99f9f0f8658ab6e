"""Holds a published run against its notebooks: nbval runs them again, this room decides what counts as equal."""
