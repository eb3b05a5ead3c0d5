"""The screen: app, screens, widgets, keys. Holds no process, pipe or lock."""

import os

# Read once, when Textual is imported. A key is answered by the next frame: at 60 a second, its default, that
# alone takes up to 17 ms. Frames are only drawn when something has changed.
os.environ.setdefault("TEXTUAL_FPS", "120")
