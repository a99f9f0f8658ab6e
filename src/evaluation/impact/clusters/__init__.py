"""Inference with few clusters: the jackknife, the wild bootstrap, randomization, and one table of them all."""
