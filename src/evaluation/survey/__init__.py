"""The survey room: reading a survey with its codebook enforced, and the population it stands for."""
