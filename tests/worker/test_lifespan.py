"""Hooks, dependencies and middleware in a worker process on a real broker; and answers to requests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from routemq_tui.errors import ExitCode
from routemq_tui.worker.spec import ImportFailed, StartFailed
from tests.worker.harness import Project, Publisher

MakeProject = Callable[[str], Project]

CODE = """
import asyncio
from routemq_tui import Depends, Middleware, Router

async def opens(worker):
    await asyncio.sleep(0.01)
    worker.state["pool"] = "open"
    record("start", worker.name)

def closes(worker):
    record("stop", worker.state["pool"])

def pool():
    record("pool")
    yield "pool"
    record("pool closed")

def handle(n, pool=Depends(pool, scope="worker")):
    record(n, pool)

def fails():
    raise OSError("no database")

def exits():
    raise SystemExit("no database")

def broken(pool=Depends(pool, scope="worker")):
    fails()

def needs(n, value=Depends(broken, scope="worker")):
    pass

async def never_ends():
    await asyncio.sleep(60)

class Stamp(Middleware):
    async def handle(self, context, next_handler):
        record("in", context["params"]["n"])
        await next_handler(context)
        record("out")

def timed(message, call_next):
    record("timed", message.worker)
    return call_next(message)

router = Router(middleware=[Stamp()])

@router.on_start
def first():
    record("first")

@router.on_stop
def last():
    record("last")

@router.on("t/{n}", name="r")
def routed(n):
    record("routed", n)

def answers(message):
    message.reply({"n": message.params["n"]})
    message.publish("noted", "x", qos=1)
"""


def test_a_worker_begins_and_ends_with_its_hooks(
    project: Callable[[str], Project], publisher: Publisher
) -> None:
    made = project(CODE)
    worker = made.running(on_start="handlers:opens", on_stop="handlers:closes")
    publisher.publish_many(2)
    worker.wait_handled(2)
    assert worker.drain() == ExitCode.OK
    assert made.calls() == ["start r/1", "pool", "0 pool", "1 pool", "pool closed", "stop open"]


def test_a_route_of_a_router_has_the_hooks_and_middleware_of_it(
    project: Callable[[str], Project], publisher: Publisher
) -> None:
    made = project(CODE)
    worker = made.running(
        handler="handlers:router#r", middleware=("handlers:timed",), on_stop="handlers:closes"
    )
    publisher.publish_many(1)
    worker.wait_handled(1)
    worker.drain()
    assert made.calls() == ["first", "timed r/1", "in 0", "routed 0", "out", "last"]
    assert any("on_stop failed (handlers.py:" in text for text in worker.texts())  # it has no pool


def test_a_hook_that_is_not_there_cannot_be_imported(project: MakeProject) -> None:
    worker = project(CODE).worker(on_start="handlers:gone")
    worker.start()
    assert "has no 'gone'" in worker.wait_for(ImportFailed).reason
    assert worker.wait_exit() == ExitCode.IMPORT_FAILED


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"on_start": "handlers:fails"}, "on_start (handlers.py:{}) failed: OSError: no database"),
        ({"on_start": "handlers:exits"}, "on_start (handlers.py:{}) failed: SystemExit: no database"),
        ({"handler": "handlers:needs"}, "what the handler depends on failed: OSError: no database"),
    ],
)
def test_a_begin_that_fails_may_go_well_the_next_time(
    project: MakeProject, changes: dict[str, str], what: str
) -> None:
    worker = project(CODE).worker(**changes)
    worker.start()
    reason = worker.wait_for(StartFailed).reason
    # then it is a death as any other, with the traceback in the log
    assert worker.wait_exit() == ExitCode.CRASHED
    began, _, ended = what.partition("{}")
    assert reason.startswith(began)
    assert ended in reason
    assert ", at handlers.py:" in reason
    assert any(text.startswith(began) for text in worker.texts())
    assert any("Traceback" in text for text in worker.texts())


def test_what_has_begun_is_ended_when_the_rest_fails(project: MakeProject) -> None:
    # given a router's hooks that go well before the route's own fail
    made = project(CODE)
    changes = {"handler": "handlers:router#r", "on_start": "handlers:fails", "on_stop": "handlers:closes"}
    worker = made.worker(**changes)
    worker.start()
    assert worker.wait_exit() == ExitCode.CRASHED
    # then those are ended, and nothing is that has not begun
    assert made.calls() == ["first", "last"]
    assert not any("on_stop failed" in text for text in worker.texts())


def test_hooks_and_values_are_ended_when_a_value_cannot_be_made(project: MakeProject) -> None:
    made = project(CODE)
    worker = made.worker(handler="handlers:needs", on_start="handlers:opens", on_stop="handlers:closes")
    worker.start()
    assert worker.wait_exit() == ExitCode.CRASHED
    assert made.calls() == ["start r/1", "pool", "pool closed", "stop open"]


def test_a_stop_that_does_not_end_is_cut_short(project: Callable[[str], Project]) -> None:
    worker = project(CODE).running(on_stop="handlers:never_ends", drain_timeout=0.3)
    assert worker.drain() == ExitCode.OK
    assert "on_stop did not end within 0.3 s" in worker.texts()


def test_a_request_is_answered(project: Callable[[str], Project], publisher: Publisher) -> None:
    made = project(CODE)
    worker = made.running(handler="handlers:answers")
    heard = []
    publisher.client.on_message = lambda _c, _u, message: heard.append(message)
    publisher.client.subscribe([("answers/here", 1), ("noted", 1)])
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ResponseTopic = "answers/here"
    properties.CorrelationData = b"\x00\x01"
    publisher.client.publish("t/7", b"", 1, properties=properties)
    worker.wait_until(lambda: len(heard) == 2)
    (answer,) = [message for message in heard if message.topic == "answers/here"]
    assert (answer.payload, answer.properties.CorrelationData) == (b'{"n":"7"}', b"\x00\x01")
    # and one whose sender wants no answer fails, in words
    publisher.publish("t/8")
    worker.wait_until(lambda: any("named no response topic" in text for text in worker.texts()))
