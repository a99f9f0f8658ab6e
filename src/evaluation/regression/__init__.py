"""Regression under the design."""
