"""Participants and others: what may be compared, the difference, the adjusted difference, and how far it carries."""
