"""How it is told: the pages of an audit, and its headline as text."""
