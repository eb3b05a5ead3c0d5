"""The screen of one browser, in a session of its own: `python -m routemq_tui.web.screen ADDRESS`.

Ctrl-C in the terminal of `web` goes to every process of its group. It is for the server, which drains the
workers; a screen shows that, and leaves when the engine has ended or its server is gone.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def main(address: str) -> int:
    with suppress(PermissionError):  # it leads a group already: somebody started it by hand
        os.setsid()
    # Only now: until the session is its own, Ctrl-C would end it.
    from routemq_tui.tui import attached

    return attached.main(address)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
