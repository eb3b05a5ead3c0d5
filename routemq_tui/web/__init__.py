"""The screen in a browser: who is let in, and the pages around it. The screen itself is `tui`'s."""
