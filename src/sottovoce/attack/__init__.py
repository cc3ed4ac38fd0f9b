"""Who attacks: fresh attackers, trained after the filter and apart from it."""
