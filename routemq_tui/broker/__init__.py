"""The embedded development broker. For development and tests, on loopback only."""
