"""What a study declares before anybody reads an outcome: estimates, comparisons, policy questions."""
