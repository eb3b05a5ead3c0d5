"""Async: while one message waits for a slow service, the worker takes the next ones (`concurrency`)."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Any

log = logging.getLogger(__name__)


async def position(vehicle: str, payload: dict[str, Any]) -> None:
    """`vehicles/{vehicle}/position`: adds a street name, which takes its time."""
    street = await look_up_street(payload["latitude"], payload["longitude"])
    log.debug("vehicle %s is in %s", vehicle, street)


async def look_up_street(latitude: float, longitude: float) -> str:
    """Stands for a geocoding service on the network."""
    await asyncio.sleep(random.uniform(0.03, 0.12))
    return f"street {abs(int(latitude * longitude * 1e6)) % 97}"
