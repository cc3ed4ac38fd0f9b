"""A filter as a network service, by WebSocket or by the Wyoming protocol."""
