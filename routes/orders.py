"""Fails on some payloads: what a handler raises is counted, logged with its traceback, and kept."""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger(__name__)


def place(shop: str, payload: dict[str, Any]) -> None:
    """`orders/{shop}`, not shared: one worker, so the orders are handled one by one as they came."""
    quantity = payload["quantity"]
    if quantity <= 0:
        raise ValueError(f"order {payload['number']} of shop {shop}: quantity {quantity}")
    log.info("order %s: %d × %s", payload["number"], quantity, payload["article"])
