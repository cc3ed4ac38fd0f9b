"""A filter between a microphone and an application, as sound comes in."""
