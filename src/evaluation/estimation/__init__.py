"""Estimates under the design: means, totals, shares, ratios, quantiles, contrasts, tests."""
