"""TLS as it goes wrong and right, against mosquitto: what is said, and that the broker is not hammered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from routemq_tui.config.model import TlsConfig
from routemq_tui.errors import ExitCode
from routemq_tui.publisher.client import PublishClient, RefusedError, UnreachableError
from routemq_tui.worker import cells
from routemq_tui.worker.spec import BrokerAddress, Disconnected, Refused, Subscribed
from routemq_tui.worker.tls import explain_end
from tests.authority import Authority, TlsBroker, start_tls_broker
from tests.worker.harness import Project, Publisher

pytestmark = pytest.mark.mosquitto

HANDLER = """
def handle(n, payload: bytes):
    record(n, len(payload))
"""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsBroker]:
    found = start_tls_broker(tmp_path_factory.mktemp("tls") / "broker")
    yield found
    found.mosquitto.stop(kill=True)


@pytest.fixture
def project(tmp_path: Path, broker: TlsBroker) -> Iterator[Project]:
    made = Project(tmp_path, broker.plain, HANDLER)
    yield made
    made.stop()


@dataclass(frozen=True)
class Case:
    name: str
    listener: str
    said: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    lasting: bool = True
    """The worker ends with it; else it goes on trying."""
    address: dict[str, Any] = field(default_factory=dict)


WRONG = (
    Case("no ca_file", "right", ("is not trusted", "MQTT_CA_FILE"), {"ca_file": None}),
    Case("wrong CA", "right", ("is not trusted", "no authority in broker.ca_file", "others.pem"),
         {"ca_file": "others.pem"}),
    Case("expired", "expired", ("has expired", "renewed at the broker")),
    Case("wrong host", "other-host", ("is for another host", "server_name")),
    Case("wrong server_name", "right", ("is for another host", "elsewhere"), {"server_name": "elsewhere"}),
    Case("no client certificate", "client", ("client certificate", "broker.cert_file")),
    Case("no client certificate, TLS 1.2", "client-1.2", ("client certificate", "broker.cert_file")),
    Case("client certificate of a stranger", "client", ("accept", "stranger.pem"), {"cert_file": "stranger"}),
    Case("TLS to a plain port", "plain", ("in the TLS handshake", "mqtt://"), lasting=False),
    Case("plain to a TLS port", "right", ("TLS", "mqtts://"), lasting=False, address={"tls": False}),
    Case("plain to a WebSocket port", "ws", ("ws://",), lasting=False, address={"tls": False}),
    Case("WebSocket to a plain port", "plain", ("WebSocket", "mqtt://"), lasting=False,
         address={"tls": False, "websocket": "/mqtt"}),
    Case("WebSocket over TLS to a WebSocket port", "ws", ("does not speak TLS", "ws://"), lasting=False,
         address={"websocket": "/mqtt"}),
    Case("WebSocket without client certificate", "wss-client", ("client certificate", "broker.cert_file"),
         address={"websocket": "/mqtt"}),
    Case("WebSocket of a broken certificate", "wss", ("is not trusted",), {"ca_file": "others.pem"},
         address={"websocket": "/mqtt"}),
)  # fmt: skip


def address_of(broker: TlsBroker, listener: str, folder: Path, **changes: Any) -> BrokerAddress:
    """Of a listener, with the settings that are right but for the changes."""
    settings = {"ca_file": str(broker.authority.file)} | changes.pop("settings", {})
    strangers = Authority(folder, "others")
    if settings["ca_file"] == "others.pem":
        settings["ca_file"] = str(strangers.file)
    if settings.get("cert_file") == "stranger":
        issued = strangers.issue("stranger@example.org", file="stranger")
        settings |= {"cert_file": str(issued.cert_file), "key_file": str(issued.key_file)}
    port = broker.plain if listener == "plain" else broker.ports[listener]
    address = BrokerAddress("127.0.0.1", port, tls=True, security=TlsConfig(**settings))
    return replace(address, **changes)


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case.name)
def test_what_is_wrong_is_said_and_the_broker_is_not_hammered(
    case: Case, broker: TlsBroker, project: Project, tmp_path: Path
) -> None:
    # given a worker whose address or certificates are wrong in one way
    address = address_of(broker, case.listener, tmp_path, settings=case.settings, **case.address)
    project.broker = address
    worker = project.worker()
    worker.start()
    if case.lasting:
        # then it ends as refused, says why in one line, and logs it
        assert worker.wait_exit() == ExitCode.BROKER_REFUSED
        reason = worker.last(Refused).reason
        assert [record.text for record in worker.logs if record.level == 40] == [reason]
    else:
        # then it goes on trying, more and more seldom
        worker.wait_until(
            lambda: sum(isinstance(each, Disconnected) for each in worker.reports) >= 3, what="three tries"
        )
        told = [each for each in worker.reports if isinstance(each, Disconnected)]
        assert told[2].retry_in > told[0].retry_in
        assert told[0].retry_in >= 0.1
        reason = told[0].reason
        assert not [each for each in worker.reports if isinstance(each, Refused)]
    assert all(words in reason for words in case.said), reason
    assert "\n" not in reason
    # and what publishes says the same, and gives up in the same cases
    with pytest.raises(RefusedError if case.lasting else UnreachableError) as caught:
        PublishClient(address).connect()
    assert all(words in str(caught.value) for words in case.said), caught.value


RIGHT = (
    Case("TLS", "right", ()),
    Case("a name of its own", "other-host", (), {"server_name": "broker.example"}),
    Case("a client certificate", "client", (), {"cert_file": "ours"}),
    Case("a client certificate, TLS 1.2", "client-1.2", (), {"cert_file": "ours"}),
    Case("not checked", "expired", (), {"insecure": True, "ca_file": None}),
    Case("WebSocket", "ws", (), address={"tls": False, "websocket": "/mqtt"}),
    Case(
        "WebSocket with a client certificate",
        "wss-client",
        (),
        {"cert_file": "ours"},
        address={"websocket": "/mqtt"},
    ),
    Case("WebSocket over TLS", "wss", (), address={"websocket": "/mqtt"}),
)


@pytest.mark.parametrize(
    ("case", "fast_path"),
    [*((case, True) for case in RIGHT), (RIGHT[-1], False)],
    ids=[*(case.name for case in RIGHT), f"{RIGHT[-1].name}, stock"],
)
def test_what_is_right_carries_messages_of_every_size(
    case: Case, fast_path: bool, broker: TlsBroker, project: Project, tmp_path: Path
) -> None:
    settings = dict(case.settings)
    if settings.get("cert_file") == "ours":
        settings |= {"cert_file": str(broker.client.cert_file), "key_file": str(broker.client.key_file)}
    address = address_of(broker, case.listener, tmp_path, settings=settings, **case.address)
    # given a worker on the listener
    project.broker = address
    worker = project.worker(fast_path=fast_path, qos=2, client_id=f"{case.name}-{fast_path}")
    worker.start()
    worker.wait_for(Subscribed)
    # when our own publisher sends over the same listener
    # (mosquitto 2.0 takes 0.1 s for each big message in a WebSocket)
    sizes = [0, 126, 70_000] if address.websocket else [0, 1, 127, 16_384, 65_536, 300_000]
    client = PublishClient(address)
    client.connect()
    for number, size in enumerate(sizes):
        client.publish(f"t/{size}", bytes(size), number % 3, False)
    client.drain(10)
    client.close()
    # then all of it is handled and acknowledged, on one connection
    worker.wait_handled(len(sizes))
    assert sorted(project.calls()) == sorted(f"{size} {size}" for size in sizes)
    assert worker.words[cells.CONNECTS] == 1
    insecure = [text for text in worker.texts() if "NOT checked" in text]
    assert bool(insecure) == bool(case.settings.get("insecure"))
    assert worker.drain() == 0


def test_a_broker_that_was_good_is_waited_for(broker: TlsBroker, project: Project, tmp_path: Path) -> None:
    # given a slot that was connected before
    address = address_of(broker, "right", tmp_path)
    project.broker = address
    worker = project.worker()
    worker.start()
    worker.wait_for(Subscribed)
    worker.kill()
    # when the certificate is expired at its next start
    worker.spec = replace(worker.spec, broker=replace(address, port=broker.ports["expired"]))
    worker.start()
    # then it waits for it to be renewed
    lost = worker.wait_for(Disconnected)
    assert "has expired" in lost.reason


def test_certificates_are_read_at_each_connection(
    broker: TlsBroker, project: Project, tmp_path: Path
) -> None:
    # given a client certificate that the broker does not accept, and a broker that was good before
    address = address_of(broker, "client", tmp_path, settings={"cert_file": "stranger"})
    project.broker = address
    worker = project.worker()
    worker.words[cells.CONNECTS] = 1
    worker.start()
    worker.wait_for(Disconnected)
    # when the files are renewed
    certificate, key = Path(str(address.security.cert_file)), Path(str(address.security.key_file))
    key.write_bytes(broker.client.key_file.read_bytes())
    certificate.write_bytes(broker.client.cert_file.read_bytes())
    # then the same process gets in
    worker.wait_for(Subscribed)
    publisher = Publisher(broker.plain)
    publisher.publish_many(3)
    publisher.close()
    worker.wait_handled(3)


@pytest.mark.parametrize(
    ("error", "certificate", "said"),
    [
        (ConnectionResetError(104, "reset"), None, "wants a client certificate"),
        (BrokenPipeError(32, "broken"), "ours.pem", "does it accept ours.pem"),
        (None, None, "wants a client certificate"),
        (TimeoutError("no CONNACK within 10 s"), None, "no CONNACK within 10 s"),
    ],
)
def test_an_end_that_overtakes_its_alert_is_explained_too(
    error: OSError | None, certificate: str | None, said: str
) -> None:
    address = BrokerAddress("h", 8883, tls=True, security=TlsConfig(cert_file=certificate))
    fault = explain_end(b"", error, address, met=False)
    assert said in fault.text
    assert not fault.lasting
    # but one that was met before has not come to want another certificate overnight
    assert "certificate" not in explain_end(b"", error, address, met=True).text
