"""Which of a broker's refusals are for good, by MQTT 5 reason code (section 2.4).

Of 3.1.1's return codes paho makes the MQTT 5 code of the same meaning.
"""

from __future__ import annotations

SESSION_TAKEN_OVER = 142

CONNACK_FOR_GOOD = frozenset(
    {
        129,  # malformed packet
        130,  # protocol error
        132,  # unsupported protocol version
        133,  # client identifier not valid
        134,  # bad user name or password
        135,  # not authorized
        138,  # banned
        140,  # bad authentication method
        157,  # server moved
    }
)

SUBACK_FOR_GOOD = frozenset(
    {
        135,  # not authorized
        143,  # topic filter invalid
        158,  # shared subscriptions not supported
        161,  # subscription identifiers not supported
        162,  # wildcard subscriptions not supported
    }
)
