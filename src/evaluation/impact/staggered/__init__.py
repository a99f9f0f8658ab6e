"""Effects of a policy that came to different places at different times."""
