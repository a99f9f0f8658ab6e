"""Releases of a study: held against last year's, signed by those who checked them, corrected with a date."""
