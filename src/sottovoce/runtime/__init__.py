"""What ships: a filter, its engine, and the commands that pass sound through it; no torch."""
