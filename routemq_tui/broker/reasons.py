"""Reason codes of MQTT 5 (section 2.4) that this broker sends or accepts, and the error that carries one."""

from __future__ import annotations

from typing import Final

SUCCESS: Final = 0x00
DISCONNECT_WITH_WILL: Final = 0x04
NO_MATCHING_SUBSCRIBERS: Final = 0x10
NO_SUBSCRIPTION_EXISTED: Final = 0x11
UNSPECIFIED: Final = 0x80
MALFORMED: Final = 0x81
PROTOCOL_ERROR: Final = 0x82
UNSUPPORTED_VERSION: Final = 0x84
CLIENT_ID_INVALID: Final = 0x85
NOT_AUTHORISED: Final = 0x87
SERVER_SHUTTING_DOWN: Final = 0x8B
BAD_AUTHENTICATION_METHOD: Final = 0x8C
KEEP_ALIVE_TIMEOUT: Final = 0x8D
SESSION_TAKEN_OVER: Final = 0x8E
TOPIC_FILTER_INVALID: Final = 0x8F
TOPIC_NAME_INVALID: Final = 0x90
PACKET_ID_NOT_FOUND: Final = 0x92
RECEIVE_MAXIMUM_EXCEEDED: Final = 0x93
TOPIC_ALIAS_INVALID: Final = 0x94
PACKET_TOO_LARGE: Final = 0x95
QUOTA_EXCEEDED: Final = 0x97

CONNACK_3: Final = {
    UNSUPPORTED_VERSION: 1,
    CLIENT_ID_INVALID: 2,
    QUOTA_EXCEEDED: 3,
    SERVER_SHUTTING_DOWN: 3,
    NOT_AUTHORISED: 5,
}
"""The CONNACK return codes of MQTT 3.1.1; what is not here closes the connection without one."""

ACKNOWLEDGEMENT: Final = frozenset((0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99))
"""What a PUBACK or PUBREC may say."""
COMPLETION: Final = frozenset((SUCCESS, PACKET_ID_NOT_FOUND))
"""What a PUBREL or PUBCOMP may say."""
CLIENT_DISCONNECT: Final = frozenset(
    (0x00, 0x04, *range(0x80, 0x84), 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99)
)
"""What a client's DISCONNECT may say."""


class PacketError(Exception):
    """A packet that MQTT forbids; it ends the connection it came on with this reason code."""

    def __init__(self, reason: int, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


def malformed(text: str) -> PacketError:
    return PacketError(MALFORMED, text)


def protocol_error(text: str) -> PacketError:
    return PacketError(PROTOCOL_ERROR, text)
