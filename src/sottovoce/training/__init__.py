"""How the networks play: one file per game."""
