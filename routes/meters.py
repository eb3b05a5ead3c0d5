"""Typed: the annotation decides how the payload is decoded, and what does not fit never gets here."""

from __future__ import annotations

import logging
from dataclasses import dataclass

log = logging.getLogger(__name__)


@dataclass
class Reading:
    """`{"watts": 812.5, "phase": "L1"}`"""

    watts: float
    phase: str = "L1"


def consumption(meter: int, payload: Reading) -> None:
    """`meters/{meter:int}/consumption`: the topic's parameter is converted as well."""
    if payload.watts > 3400:
        log.info("meter %d draws %.0f W on %s", meter, payload.watts, payload.phase)
