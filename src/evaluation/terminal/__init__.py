"""What the command prints while a batch runs, when it has ended, and when somebody asks how it stands."""
