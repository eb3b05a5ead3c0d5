"""What a handler's `client` tells of itself and of what it published."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.worker.harness import Project, Publisher
from tests.worker.peer import Peer, ack
from tests.worker.proxy import Proxy
from tests.worker.streams import publish

MakeProject = Callable[[str], Project]


def test_it_has_its_id_and_tells_of_each_message_as_pahos_does(
    project: MakeProject, publisher: Publisher
) -> None:
    here = project("""
        import asyncio
        async def handle(n, client, message):
            record(client._client_id)
            info = client.publish("out/0", n)
            record(info.rc, info.mid > 0, info.is_published())
            info = client.publish("out/1", n, qos=1)
            rc, mid = info
            record(rc, mid == info.mid == info[1], info.is_published())
            await asyncio.to_thread(info.wait_for_publish, 10)
            record(info.is_published(), info.wait_for_publish())
            info = client.publish("out/2", n, qos=2)
            while not info.is_published():
                await asyncio.sleep(0.001)
            record("out/2")
    """)
    here.running()
    publisher.publish_many(1)
    here.workers[0].wait_handled(1)
    assert here.calls() == [
        "b'g-n-r-1'",
        "0 True True",
        "0 True False",
        "True None",
        "out/2",
    ]


def test_it_says_so_where_waiting_would_be_in_vain(project: MakeProject, publisher: Publisher) -> None:
    here = project("""
        def handle(n, client):
            client.publish("out/1", n, qos=1).wait_for_publish(30)
    """)
    worker = here.running(on_error="drop")
    publisher.publish_many(1)
    worker.wait_handled(1)
    assert any("await asyncio.to_thread(info.wait_for_publish, 5)" in text for text in worker.texts())


def test_an_answer_behind_more_than_may_be_held_is_found(tmp_path: Path) -> None:
    # given a worker of which the buffer is full, and the broker's answer comes behind that
    with Peer() as peer:
        project = Project(
            tmp_path,
            peer.port,
            """
            import asyncio
            async def handle(n, payload: bytes, client):
                if n == "0":
                    info = client.publish("out", b"", qos=1)
                    await asyncio.to_thread(info.wait_for_publish, 20)
                    record(info.is_published())
            """,
        )
        try:
            worker = project.worker(qos=0)
            worker.start()
            link = peer.greet()
            link.send(publish("t/0", b"", block=b""))
            asked = link.packet()
            assert asked[0] == 0x32
            link.send(publish("t/1", b"x" * 1000, block=b"") * 600)
            worker.wait_until(lambda: worker.counters.received > 256, what="the buffer is full")
            # when the handler waits for the answer, then it comes, and the rest is handled
            link.send(ack(0x40, int.from_bytes(asked[7:9], "big")))
            worker.wait_until(lambda: project.calls() == ["True"], what="the answer")
            worker.wait_handled(601)
        finally:
            project.stop()


def test_what_is_kept_while_the_connection_is_away_is_no_failure(
    project: MakeProject, publisher: Publisher, proxy: Proxy
) -> None:
    # given a handler that publishes after its connection broke
    here = project("""
        import asyncio
        async def handle(n, client):
            record("begun")
            while client._connection.socket is not None:
                await asyncio.sleep(0.005)
            info = client.publish("out/1", n, qos=1)
            record(info.rc)
            await asyncio.to_thread(info.wait_for_publish, 10)
            record(info.is_published())
    """)
    worker = here.running(port=proxy.port)
    publisher.publish_many(1)
    worker.wait_until(lambda: here.calls() == ["begun"], what="the handler begins")
    # when it comes back, then the message is sent
    proxy.cut()
    worker.wait_until(lambda: here.calls() == ["begun", "0", "True"], timeout=20, what="it is published")
