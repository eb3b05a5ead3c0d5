"""What a broker must not send, by name: the reason code it is to be told, and the bytes."""

from __future__ import annotations

from tests.worker.streams import field, packet, publish, pubrel, reply


def block(content: bytes) -> bytes:
    return publish("t", block=content)


FAULTS: dict[str, tuple[int, bytes]] = {
    "QoS 3": (0x81, packet(0x36, field("t") + b"\0\1\0")),
    "DUP without QoS": (0x81, packet(0x38, field("t") + b"\0")),
    "PUBREL with other flags": (0x81, b"\x60\x02\x00\x01"),
    "packet type 0": (0x81, b"\x00\x00"),
    "a length of five bytes": (0x81, b"\x30\xff\xff\xff\xff"),
    "a length longer than need be": (0x81, b"\x30\x86\x00" + field("t") + b"\0xx"),
    "no body": (0x81, b"\x30\x00"),
    "half a topic length": (0x81, b"\x30\x01\x00"),
    "a topic beyond the packet": (0x81, b"\x30\x04\x00\x05ab"),
    "no packet id": (0x81, packet(0x32, field("t"))),
    "half a packet id": (0x81, packet(0x32, field("t") + b"\x01")),
    "packet id 0": (0x82, publish("t", b"", 1, 0, block=b"")),
    "no property length": (0x81, packet(0x30, field("t"))),
    "a property length longer than need be": (0x81, packet(0x30, field("t") + b"\x80\x00")),
    "a subscription identifier longer than need be": (0x81, block(b"\x0b\x81\x00")),
    "properties beyond the packet": (0x81, packet(0x30, field("t") + b"\x05\x01\x00")),
    "a string beyond the properties": (0x81, block(b"\x03\x00\x09ab")),
    "a number cut short": (0x81, block(b"\x02\x00\x00")),
    "an unknown property": (0x81, block(b"\x7f\x00")),
    "a property of another packet": (0x81, block(b"\x11\x00\x00\x00\x01")),
    "the same property twice": (0x82, block(b"\x01\x00\x01\x00")),
    "a flag of 2": (0x82, block(b"\x01\x02")),
    "subscription identifier 0": (0x82, block(b"\x0b\x00")),
    "a response topic with #": (0x82, block(b"\x08" + field("a/#"))),
    "a response topic with +": (0x82, block(b"\x08" + field("a/+"))),
    "a content type that is not UTF-8": (0x81, block(b"\x03" + field(b"\xff"))),
    "a topic with +": (0x90, publish("a/+", block=b"")),
    "a topic with #": (0x90, publish("a/#", block=b"")),
    "a topic that is not UTF-8": (0x81, publish(b"a\xff", block=b"")),
    "a topic with a surrogate": (0x81, publish(b"a\xed\xa0\x80", block=b"")),
    "a topic with U+0000": (0x81, publish(b"a\0b", block=b"")),
    "no topic": (0x82, publish("", block=b"")),
    "topic alias 0": (0x94, block(b"\x23\x00\x00")),
    "an alias above the maximum": (0x94, block(b"\x23\x00\x03")),
    "an alias that stands for nothing": (0x82, publish("", block=b"\x23\x00\x02")),
    "PUBREL with id 0": (0x82, pubrel(0)),
    "PUBREL without an id": (0x81, b"\x62\x00"),
    "PUBREL with an unknown reason": (0x82, pubrel(1, b"\x80")),
    "PUBREL with bytes left over": (0x81, pubrel(1, b"\x00\x00\x1f\x00\x01x")),
    "PUBREL with a PUBLISH's property": (0x81, pubrel(1, b"\x00\x02\x01\x00")),
    "a header of more than the maximum": (0x95, b"\x30\x80\x40"),
    "a packet of more than the maximum": (0x95, publish("t", b"x" * 8000, block=b"")),
}

FAULTS_3: dict[str, tuple[int, bytes]] = {
    "half a packet id": (0x81, packet(0x32, field("t") + b"\x01")),
    "half a topic length": (0x81, b"\x30\x01\x00"),
    "a length of five bytes": (0x81, b"\x32\xff\xff\xff\xff"),
    "a PUBREL that is too long": (0x81, pubrel(1, b"\x00")),
    "packet id 0": (0x82, publish("t", b"x", 2, 0)),
}

# Of packets for the client underneath.
REPLY_FAULTS: dict[str, tuple[int, bytes]] = {
    "CONNECT": (0x82, b"\x10\x00"),
    "SUBSCRIBE": (0x82, b"\x82\x00"),
    "UNSUBSCRIBE": (0x82, b"\xa2\x00"),
    "PINGREQ": (0x82, b"\xc0\x00"),
    "AUTH, which nobody asked for": (0x82, b"\xf0\x00"),
    "SUBACK with flags": (0x81, b"\x92\x04\x00\x07\x00\x01"),
    "SUBACK without an id": (0x81, packet(0x90, b"\x00")),
    "SUBACK with id 0": (0x82, reply(0x90, 0, b"\x00\x01")),
    "SUBACK without a code": (0x81, reply(0x90, 7, b"\x00")),
    "SUBACK without properties": (0x81, reply(0x90, 7)),
    "SUBACK with an unknown code": (0x82, reply(0x90, 7, b"\x00\x03")),
    "SUBACK with properties beyond it": (0x81, reply(0x90, 7, b"\x05\x01")),
    "UNSUBACK with SUBACK's code": (0x82, reply(0xB0, 7, b"\x00\x01")),
    "UNSUBACK without a code": (0x81, reply(0xB0, 7, b"\x00")),
    "PUBACK with half an id": (0x81, packet(0x40, b"\x01")),
    "PUBACK with id 0": (0x82, reply(0x40, 0)),
    "PUBACK with an unknown code": (0x82, reply(0x40, 7, b"\x01")),
    "PUBREC with a property of a PUBLISH": (0x81, reply(0x50, 7, b"\x00\x02\x01\x00")),
    "PUBREC with two reason strings": (0x82, reply(0x50, 7, b"\x00\x06\x1f\x00\x00\x1f\x00\x00")),
    "PUBCOMP with bytes left over": (0x81, reply(0x70, 7, b"\x00\x00x")),
    "PUBCOMP with PUBACK's code": (0x82, reply(0x70, 7, b"\x10")),
    "PINGRESP that is not empty": (0x81, b"\xd0\x01\x00"),
    "DISCONNECT with an unknown code": (0x82, b"\xe0\x01\x01"),
    "DISCONNECT with half a property": (0x81, b"\xe0\x04\x8b\x02\x1f\x00"),
    "CONNACK of one byte": (0x81, b"\x20\x01\x00"),
    "CONNACK with flags": (0x81, b"\x20\x03\x02\x00\x00"),
    "CONNACK with an unknown code": (0x82, b"\x20\x03\x00\x07\x00"),
    "CONNACK with receive maximum 0": (0x82, b"\x20\x06\x00\x00\x03\x21\x00\x00"),
    "CONNACK with an unknown property": (0x81, b"\x20\x05\x00\x00\x02\x01\x00"),
}
REPLY_FAULTS_3: dict[str, tuple[int, bytes]] = {
    "CONNECT": (0x82, b"\x10\x00"),
    "DISCONNECT": (0x82, b"\xe0\x00"),
    "AUTH": (0x82, b"\xf0\x00"),
    "SUBACK without a code": (0x81, reply(0x90, 7)),
    "SUBACK with an unknown code": (0x82, reply(0x90, 7, b"\x03")),
    "UNSUBACK that is too long": (0x81, reply(0xB0, 7, b"\x00")),
    "PUBACK that is too long": (0x81, reply(0x40, 7, b"\x00")),
    "PINGRESP that is not empty": (0x81, b"\xd0\x01\x00"),
    "CONNACK that is too long": (0x81, b"\x20\x03\x00\x00\x00"),
}
