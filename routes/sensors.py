"""A plain function: the payload is JSON, so it arrives as a dict."""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger(__name__)


def temperature(device_id: str, payload: dict[str, Any]) -> None:
    """`sensors/{device_id}/temperature`, shared by three workers: each message goes to one of them."""
    celsius = payload["celsius"]
    if celsius > 29:
        log.warning("device %s is hot: %.1f °C", device_id, celsius)
    elif celsius < 15.5:
        # What is printed lands in this worker's log pane, like everything else a handler writes.
        print(f"device {device_id} is cold: {celsius:.1f} °C")
