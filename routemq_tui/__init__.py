"""routemq-tui: a terminal process manager for MQTT workers."""

__version__ = "0.1.0"
