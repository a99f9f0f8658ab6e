"""Groups made alike before any outcome is read: balancing weights, trimming, balance, overlap, table one."""
