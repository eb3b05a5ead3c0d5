"""Messages that were told, as JSON values for scripts: `ctl messages --json`.

`{seq, time, worker, route, topic, outcome, duration, size, qos, retain, duplicate, attempts, error,
traceback, group, letter, fingerprint}`. Payload and properties may be private: only when they are asked for
there are `properties` and `payload`, or `payload_base64` when it is no UTF-8; cut as the engine keeps it.
"""

from __future__ import annotations

import base64
from typing import Any

from routemq_tui.engine.messages import TappedMessage

_PRIVATE = ("payload", "properties")


def message_values(message: TappedMessage, payloads: bool) -> dict[str, Any]:
    values = {name: value for name, value in message._asdict().items() if name not in _PRIVATE}
    if payloads:
        values["properties"] = dict(message.properties)
        try:
            values["payload"] = message.payload.decode()
        except UnicodeDecodeError:
            values["payload_base64"] = base64.b64encode(message.payload).decode()
    return values
