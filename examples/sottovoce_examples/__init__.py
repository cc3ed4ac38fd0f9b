"""Examples of plug-ins for Sottovoce."""
