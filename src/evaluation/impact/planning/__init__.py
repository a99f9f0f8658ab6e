"""What a staged roll-out could detect, before it is evaluated."""
