"""The panes of the main screen; each draws plain values line by line."""
