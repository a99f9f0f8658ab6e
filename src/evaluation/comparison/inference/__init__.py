"""Many comparisons at once, margins instead of zero, and the size a study needs."""
