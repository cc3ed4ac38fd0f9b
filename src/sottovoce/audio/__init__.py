"""Sound: reading and writing it, its level, its spectrum."""
