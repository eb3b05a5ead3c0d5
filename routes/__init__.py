"""Example handlers. A handler's parameters say what it wants: topic parameters, `payload`, `message`."""
