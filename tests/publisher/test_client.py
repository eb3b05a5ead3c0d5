"""The publishing client against a real mosquitto: windows, reconnection, and errors in words."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from routemq_tui.publisher.client import WINDOW, PublishClient, PublishError, RefusedError, UnreachableError
from routemq_tui.worker.spec import BrokerAddress
from tests.conftest import Mosquitto
from tests.publisher.subscriber import subscribed
from tests.waiting import free_port, wait_until


def publish_all(client: PublishClient, messages: list[bytes], qos: int) -> int:
    """Publish as fast as the client takes them; returns the most that were under way at once."""
    most = 0
    for payload in messages:
        while not client.ready():
            client.step(0.05)
        client.publish("t/x", payload, qos, False)
        most = max(most, client.under_way)
    client.drain(5)
    return most


def step_for(client: PublishClient, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        client.step(0.1)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_all_messages_arrive_in_order_within_the_window(
    mosquitto: Mosquitto, protocol: str, qos: int
) -> None:
    messages = [b"%d" % number for number in range(500)]
    client = PublishClient(BrokerAddress("127.0.0.1", mosquitto.port, protocol=protocol))  # type: ignore[arg-type]
    with subscribed(mosquitto.port) as got:
        client.connect()
        most = publish_all(client, messages, qos)
        client.close()
        wait_until(lambda: len(got) == 500, what="all arrived")
    assert [message.payload for message in got] == messages
    assert client.done == 500
    assert 0 < most <= WINDOW or qos == 0


@pytest.mark.mosquitto
def test_the_brokers_receive_maximum_bounds_the_window(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path, "max_inflight_messages 3")
    broker.start()
    try:
        client = PublishClient(BrokerAddress("127.0.0.1", broker.port))
        client.connect()
        assert publish_all(client, [b"x"] * 50, qos=1) <= 3
        assert client.window == 3
        client.close()
    finally:
        broker.stop(kill=True)


def test_what_was_not_acknowledged_is_sent_again_on_the_next_connection(mosquitto: Mosquitto) -> None:
    client = PublishClient(BrokerAddress("127.0.0.1", mosquitto.port))
    client.connect()
    mosquitto.stop(kill=True)
    client.publish("t/x", b"kept", 1, False)
    with pytest.raises(UnreachableError, match="lost the broker"):
        step_for(client, 10)
    assert client.under_way == 1
    mosquitto.start()
    with subscribed(mosquitto.port) as got:
        client.connect()
        client.drain(5)
        wait_until(lambda: got, what="the message arrived")
    assert got[0].payload == b"kept"
    client.close()


def test_nobody_there() -> None:
    port = free_port()
    with pytest.raises(
        UnreachableError, match=f"cannot reach the broker at 127.0.0.1:{port}: Connection refused"
    ):
        PublishClient(BrokerAddress("127.0.0.1", port)).connect()


def test_a_server_that_is_no_broker() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        thread = threading.Thread(target=_answer_as_http, args=(server,))
        thread.start()
        with pytest.raises(UnreachableError, match="answers in HTTP"):
            PublishClient(BrokerAddress("127.0.0.1", port)).connect(2)
        thread.join(5)


def test_a_server_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(UnreachableError, match=r"no answer within 0\.2 s"):
            PublishClient(BrokerAddress("127.0.0.1", port)).connect(0.2)


@pytest.mark.mosquitto
def test_refused_credentials_name_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "passwords").write_text("")
    broker = Mosquitto(tmp_path, f"password_file {tmp_path}/passwords")
    broker.start()
    try:
        client = PublishClient(BrokerAddress("127.0.0.1", broker.port, username="a", password="b"))
        with pytest.raises(RefusedError, match="MQTT_PASSWORD"):
            client.connect()
    finally:
        broker.stop(kill=True)


def test_a_topic_that_cannot_be_published_to(mosquitto: Mosquitto) -> None:
    client = PublishClient(BrokerAddress("127.0.0.1", mosquitto.port))
    client.connect()
    with pytest.raises(PublishError, match="cannot publish to 'a/#'"):
        client.publish("a/#", b"", 0, False)
    client.close()


def _answer_as_http(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(1024)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
