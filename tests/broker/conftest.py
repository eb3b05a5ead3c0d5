"""Brokers and raw clients for this folder's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from routemq_tui.broker.handle import EmbeddedBroker
from tests.broker.raw import RawClient, block, number

Connect = Callable[..., RawClient]
Start = Callable[..., EmbeddedBroker]


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    """One broker a file: tests use client ids, groups and topics of their own."""
    running = EmbeddedBroker.start(0)
    yield running
    assert running.alive(), "a test killed the broker"
    running.stop()


@pytest.fixture
def connect(broker: EmbeddedBroker) -> Iterator[Connect]:
    """Connect raw clients that are closed at the end: `connect(id, expiry=…, window=…, version=…, …)`."""
    with ExitStack() as stack:

        def make(
            client_id: str = "",
            *,
            version: int = 5,
            expiry: int = 0,
            window: int = 0,
            more: bytes = b"",
            port: int = 0,
            **settings: object,
        ) -> RawClient:
            client = stack.enter_context(RawClient(port or broker.port, version))
            properties = (number(0x11, expiry) if expiry else b"") + (number(0x21, window) if window else b"")
            return client.connect(client_id, properties=block(properties + more), **settings)  # type: ignore[arg-type]

        yield make


@pytest.fixture
def start() -> Iterator[Start]:
    """Start brokers with limits of their own."""
    running: list[EmbeddedBroker] = []

    def make(**limits: int) -> EmbeddedBroker:
        running.append(EmbeddedBroker.start(0, limits=limits))
        return running[-1]

    yield make
    for broker in running:
        assert broker.alive()
        broker.stop()
