"""Who may see the screen in a browser: who brings the token of the moment, once; from then on by cookie.

Pure: knows nothing of HTTP. Not a command itself; `web` uses it.
"""

from __future__ import annotations

import hmac
import secrets
from urllib.parse import urlsplit

HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
"""Names under which a browser on this machine, or at the other end of an ssh tunnel, knows us."""


class Gate:
    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(32)
        """Opens once; there is another one afterwards."""
        self._sessions: list[str] = []

    def spend(self, token: str) -> str | None:
        """The value of a new session's cookie; None for a wrong or spent token."""
        if not _same(token, self.token):
            return None
        self.token = secrets.token_urlsafe(32)
        self._sessions.append(secrets.token_urlsafe(32))
        return self._sessions[-1]

    def knows(self, session: str) -> bool:
        # Every one is compared: the time tells nothing of which one it was.
        return sum(_same(session, each) for each in self._sessions) > 0


def is_our_host(host: str) -> bool:
    """Whether a `Host` header names this machine: another name may be a DNS entry made to point here."""
    try:
        parts = urlsplit(f"//{host}")
        # Nothing beside name and port: the whole of it is put in headers and pages.
        return parts.hostname in HOSTS and "@" not in host and parts.netloc == host and parts.port != 0
    except ValueError:
        return False


def is_our_page(origin: str, host: str) -> bool:
    """Whether a websocket was opened by a page of ours: cookies are sent by pages of other ports too."""
    return _same(origin, f"http://{host}")


def _same(one: str, other: str) -> bool:
    # Bytes of a header that are not UTF-8 come as lone surrogates.
    return hmac.compare_digest(one.encode(errors="surrogateescape"), other.encode(errors="surrogateescape"))
