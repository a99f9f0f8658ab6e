"""Policy impact: the roll-out as data, two-way fixed effects, group-time effects, few-cluster inference."""
