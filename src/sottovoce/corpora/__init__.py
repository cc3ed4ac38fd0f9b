"""What do we have? Clips, their labels, where they come from and how they are split."""
