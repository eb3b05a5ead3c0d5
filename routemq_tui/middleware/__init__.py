"""Middleware that many applications want. Each is made in a module of yours, and named there:

slow = Timing(slower_than=0.5)        # middleware = ["app.middleware:slow"]
"""

from __future__ import annotations

from routemq_tui.middleware.deduplicate import Deduplicate
from routemq_tui.middleware.rate_limit import RateLimit
from routemq_tui.middleware.timing import Timing

__all__ = ["Deduplicate", "RateLimit", "Timing"]
