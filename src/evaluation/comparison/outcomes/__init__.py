"""Outcomes other than yes and no: ordered answers, indices, doses, differences in standard deviations."""
