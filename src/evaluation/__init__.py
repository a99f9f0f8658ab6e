"""The workbench: survey weighting, comparisons and policy impact, from survey to reviewed report."""
