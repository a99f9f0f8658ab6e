"""Participants and others in pairs, subclasses and cells, and what hidden bias would do to them."""
