"""Weighting steps: each verb returns a new design and leaves a step the variance and the replicates know."""
