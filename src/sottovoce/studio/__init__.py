"""The local page behind `sottovoce studio`: filters, audits and progress of this machine, for whoever has the link."""
