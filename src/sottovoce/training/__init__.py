"""Training: the loop, settings that can be overridden, and the training of targets."""
