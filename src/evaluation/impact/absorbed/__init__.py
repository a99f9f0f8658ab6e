"""Regressions with fixed effects taken out in one pass, and their errors."""
