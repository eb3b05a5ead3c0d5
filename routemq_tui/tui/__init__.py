"""The screen: app, screens, widgets, keys. Holds no process, pipe or lock."""
