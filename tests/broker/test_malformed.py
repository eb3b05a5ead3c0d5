"""Whatever a client sends closes at most its own connection, with the right reason, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routemq_tui.broker.handle import EmbeddedBroker
from tests.broker.conftest import Connect
from tests.broker.raw import ClosedError, RawClient, block, number, packet, text

P, B = 0x82, 0x81
WRONG = [
    ("reserved type 0", packet(0x00), P),
    ("CONNECT again", packet(0x10, text("MQTT") + b"\x05\x02\x00\x3c\x00\x00\x00"), P),
    ("CONNACK", packet(0x20, b"\x00\x00\x00"), P),
    ("SUBACK", packet(0x90, b"\x00\x01\x00\x00"), P),
    ("UNSUBACK", packet(0xB0, b"\x00\x01\x00\x00"), P),
    ("PINGRESP", packet(0xD0), P),
    ("AUTH", packet(0xF0), P),
    ("PUBLISH QoS 3", packet(0x36, text("a") + b"\x00\x01\x00"), B),
    ("PUBLISH DUP at QoS 0", packet(0x38, text("a") + b"\x00"), B),
    ("PUBLISH id 0", packet(0x32, text("a") + b"\x00\x00\x00"), P),
    ("PUBLISH without topic", packet(0x30, text("") + b"\x00"), P),
    ("PUBLISH to +", packet(0x30, text("a/+") + b"\x00"), 0x90),
    ("PUBLISH to #", packet(0x30, text("#") + b"\x00"), 0x90),
    ("PUBLISH too deep", packet(0x30, text("/" * 200) + b"\x00"), 0x90),
    ("PUBLISH empty", packet(0x30), B),
    ("PUBLISH topic cut short", packet(0x30, b"\x00\x09abc"), B),
    ("PUBLISH without id", packet(0x32, text("a")), B),
    ("PUBLISH without properties", packet(0x30, text("a")), B),
    ("PUBLISH topic not UTF-8", packet(0x30, text(b"\xff\xfe") + b"\x00"), B),
    ("PUBLISH topic with a surrogate", packet(0x30, text(b"\xed\xa0\x80") + b"\x00"), B),
    ("PUBLISH topic with U+0000", packet(0x30, text(b"a\x00b") + b"\x00"), B),
    ("PUBLISH properties too long", packet(0x30, text("a") + b"\x7f\x01\x01"), B),
    ("PUBLISH unknown property", packet(0x30, text("a") + b"\x02\x7e\x01"), B),
    ("PUBLISH foreign property", packet(0x30, text("a") + block(number(0x11, 1))), P),
    ("PUBLISH twice a property", packet(0x30, text("a") + block(number(1, 1), number(1, 1))), P),
    ("PUBLISH payload format 2", packet(0x30, text("a") + block(number(1, 2))), P),
    ("PUBLISH with subscription id", packet(0x30, text("a") + block(number(0x0B, 1))), P),
    ("PUBLISH answer to a filter", packet(0x30, text("a") + block(b"\x08" + text("a/#"))), P),
    ("PUBACK short", packet(0x40, b"\x00"), B),
    ("PUBACK flags", packet(0x41, b"\x00\x01"), B),
    ("PUBACK id 0", packet(0x40, b"\x00\x00"), P),
    ("PUBACK unknown reason", packet(0x40, b"\x00\x01\x55"), P),
    ("PUBREC left over", packet(0x50, b"\x00\x01\x00\x00\x00"), B),
    ("PUBREL flags", packet(0x60, b"\x00\x01"), B),
    ("PUBREL reason", packet(0x62, b"\x00\x01\x80"), P),
    ("PUBCOMP short", packet(0x70), B),
    ("SUBSCRIBE flags", packet(0x80, b"\x00\x01\x00" + text("a") + b"\x00"), B),
    ("SUBSCRIBE id 0", packet(0x82, b"\x00\x00\x00" + text("a") + b"\x00"), P),
    ("SUBSCRIBE nothing", packet(0x82, b"\x00\x01\x00"), P),
    ("SUBSCRIBE without options", packet(0x82, b"\x00\x01\x00" + text("a")), B),
    ("SUBSCRIBE QoS 3", packet(0x82, b"\x00\x01\x00" + text("a") + b"\x03"), B),
    ("SUBSCRIBE reserved bits", packet(0x82, b"\x00\x01\x00" + text("a") + b"\x40"), B),
    ("SUBSCRIBE Retain Handling 3", packet(0x82, b"\x00\x01\x00" + text("a") + b"\x30"), P),
    ("SUBSCRIBE identifier 0", packet(0x82, b"\x00\x01\x02\x0b\x00" + text("a") + b"\x00"), P),
    ("UNSUBSCRIBE flags", packet(0xA0, b"\x00\x01\x00" + text("a")), B),
    ("UNSUBSCRIBE nothing", packet(0xA2, b"\x00\x01\x00"), P),
    ("PINGREQ body", packet(0xC0, b"x"), B),
    ("PINGREQ flags", packet(0xC1), B),
    ("DISCONNECT reason", packet(0xE0, b"\x55"), P),
    ("DISCONNECT flags", packet(0xE1), B),
    ("length of five bytes", b"\x30\xff\xff\xff\xff\x01", B),
    ("length longer than needed", b"\xc0\x80\x00", B),
    ("too large", b"\x30\xff\xff\xff\x7f", 0x95),
]


@pytest.mark.parametrize(
    ("data", "reason"), [(one[1], one[2]) for one in WRONG], ids=[one[0] for one in WRONG]
)
def test_a_wrong_packet_closes_its_connection_with_the_reason(
    connect: Connect, data: bytes, reason: int
) -> None:
    bystander, client = connect(), connect()

    client.send(data)

    assert client.disconnect_reason() == reason
    assert bystander.nothing_comes()


@pytest.mark.parametrize("data", [one[1] for one in WRONG], ids=[one[0] for one in WRONG])
def test_before_connect_it_closes_without_a_disconnect(broker: EmbeddedBroker, data: bytes) -> None:
    with RawClient(broker.port) as stranger:
        stranger.send(data + b"\xc1\x00")  # what is a valid CONNECT is followed by a wrong PINGREQ
        first, _ = stranger.goodbye()

        assert first == (0xE0 if data[0] == 0x10 else 0)


WRONG_IN_3_1_1 = [
    b"\x00\x00",
    packet(0x20, b"\x00\x00"),
    packet(0xF0),
    packet(0x36, text("a") + b"\x00\x01"),
    packet(0x30, text("")),
    packet(0x30, text("a/#")),
    packet(0x30, text(b"\xff")),
    packet(0x32, text("a") + b"\x00\x00"),
    packet(0x40, b"\x00\x01\x00"),
    packet(0x82, b"\x00\x01" + text("a") + b"\x04"),
    packet(0x80, b"\x00\x01" + text("a") + b"\x00"),
    packet(0xA2, b"\x00\x01"),
    packet(0xE0, b"\x00"),
]


@pytest.mark.parametrize("data", WRONG_IN_3_1_1, ids=bytes.hex)
def test_in_3_1_1_it_closes_without_a_word(connect: Connect, broker: EmbeddedBroker, data: bytes) -> None:
    client = connect(version=4)
    before = broker.inspect()["totals"]["violations"]

    client.send(data)

    assert client.goodbye() == (0, b"")
    assert broker.inspect()["totals"]["violations"] == before + 1


VALID = [
    packet(0x10, text("MQTT") + b"\x05\x02\x00\x3c" + block(number(0x11, 0)) + text("fuzz")),
    packet(0x10, text("MQTT") + b"\x04\x02\x00\x3c" + text("fuzz")),
    packet(
        0x32,
        text("fuzz/topic") + b"\x00\x01" + block(number(2, 9), b"\x26" + text("a") + text("b")) + b"payload",
    ),
    packet(0x34, text("fuzz/topic") + b"\x00\x02\x00payload"),
    packet(
        0x82,
        b"\x00\x01" + block(number(0x0B, 5)) + text("fuzz/#") + b"\x01" + text("$share/f/fuzz/#") + b"\x02",
    ),
    packet(0xA2, b"\x00\x01\x00" + text("fuzz/#")),
    packet(0x40, b"\x00\x01"),
    packet(0x50, b"\x00\x01\x00\x00"),
    packet(0x62, b"\x00\x02"),
    packet(0x70, b"\x00\x01"),
    packet(0xC0),
    packet(0xE0, b"\x04" + block(b"\x1f" + text("why"))),
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid stream with some bytes changed, removed or put in."""
    data = bytearray(b"".join(draw(st.lists(st.sampled_from(VALID), min_size=1, max_size=6))))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.integers(0, 2)):
            case 0:
                data[at : at + 1] = bytes((draw(st.integers(0, 255)),))
            case 1:
                del data[at : at + draw(st.integers(1, 8))]
            case _:
                data[at:at] = draw(st.binary(max_size=8))
    return bytes(data)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200) | mutated(), greeted=st.booleans(), cut=st.integers(0, 100))
def test_no_bytes_harm_anybody_else(broker: EmbeddedBroker, data: bytes, greeted: bool, cut: int) -> None:
    before = broker.inspect()["totals"]
    with RawClient(broker.port) as client:
        try:
            if greeted:
                client.connect("fuzz")
            client.send(data[:cut])
            client.send(data[cut:])
            client.send(b"\xc0\x00")
        except (ClosedError, ConnectionError):
            pass
    with RawClient(broker.port) as witness:
        witness.connect("witness")
        witness.subscribe("witness", 0)
        witness.publish("witness", b"still here")
        assert witness.published().payload == b"still here"
    after = broker.inspect()["totals"]
    assert after["internal_errors"] == 0
    assert after["connections"] > before["connections"]


def test_packets_cut_anywhere_are_put_together(connect: Connect) -> None:
    subscriber, publisher = connect(), connect()
    subscriber.subscribe("pieces", 0)
    stream = packet(0x30, text("pieces") + b"\x00" + b"x" * 300) * 3

    for at in range(0, len(stream), 37):
        publisher.send(stream[at : at + 37])

    assert [len(subscriber.published().payload) for _ in range(3)] == [300] * 3


def test_a_packet_of_several_megabytes_passes(connect: Connect) -> None:
    subscriber, publisher = connect(), connect()
    subscriber.subscribe("large", 1)
    payload = bytes(range(256)) * 40_000

    publisher.publish("large", payload, 1, 1)

    assert subscriber.published(20).payload == payload
