"""What a handler depends on: made once a message or once a worker, in order, closed in the opposite one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import pytest

from routemq_tui.routing.binding import BindError, Bound, bind
from routemq_tui.routing.depends import Depends, WorkerNeeds
from routemq_tui.routing.message import Message
from routemq_tui.routing.template import Template

TEMPLATE = Template.parse("sensors/{id:int}/data")
log: list[str] = []


@pytest.fixture(autouse=True)
def _empty_log() -> None:
    log.clear()


def message(number: int = 7) -> Message:
    return Message(f"sensors/{number}/data", {"id": number}, b"{}")


async def run(bound: Bound, *messages: Message) -> list[Any]:
    needs = WorkerNeeds(bound.worker_needs)
    await needs.open()
    try:
        results = [bound.call(each) for each in messages]
        return list(await asyncio.gather(*results)) if bound.is_async else results
    finally:
        await needs.close()


def pool() -> Iterator[str]:
    log.append("pool opens")
    yield "pool"
    log.append("pool closes")


async def connection(pool: str = Depends(pool, scope="worker")) -> AsyncIterator[str]:  # type: ignore[assignment]
    log.append("connection opens")
    await asyncio.sleep(0)
    yield f"{pool}/connection"
    log.append("connection closes")


def doubled(id: int) -> int:
    log.append(f"doubled {id}")
    return id * 2


Connection = Annotated[str, Depends(connection)]


async def test_once_a_worker_and_once_a_message() -> None:
    async def handler(id: int, connection: Connection) -> str:
        log.append(f"handles {id}")
        return f"{connection}/{id}"

    assert await run(bind(handler, TEMPLATE), message(1)) == ["pool/connection/1"]
    assert log == [
        "pool opens",
        "connection opens",
        "handles 1",
        "connection closes",
        "pool closes",
    ]


async def test_messages_handled_at_once_do_not_get_each_others() -> None:
    async def slow(id: int) -> int:
        await asyncio.sleep(0.01 / (id + 1))
        return id

    async def handler(id: int, own: int = Depends(slow), twice: int = Depends(doubled)) -> tuple[int, ...]:  # type: ignore[assignment]
        await asyncio.sleep(0)
        return id, own, twice

    found = await run(bind(handler, TEMPLATE), *map(message, range(20)))
    assert found == [(number, number, number * 2) for number in range(20)]


async def test_one_of_a_worker_alone_costs_a_call_nothing() -> None:
    def handler(id: int, pool: str = Depends(pool, scope="worker")) -> str:  # type: ignore[assignment]
        return f"{pool}/{id}"

    bound = bind(handler, TEMPLATE)
    assert bound.call_parts is not None
    assert not bound.is_async
    assert await run(bound, message(1), message(2)) == ["pool/1", "pool/2"]
    assert log == ["pool opens", "pool closes"]


async def test_what_is_asked_for_twice_is_made_once() -> None:
    def sum_of(twice: int = Depends(doubled)) -> int:  # type: ignore[assignment]
        return twice + 1

    def handler(a: int = Depends(doubled), b: int = Depends(sum_of), c: int = Depends(doubled)) -> list[int]:  # type: ignore[assignment]
        return [a, b, c]

    assert await run(bind(handler, TEMPLATE), message(3)) == [[6, 7, 6]]
    assert log == ["doubled 3"]


def test_a_sync_handler_stays_one() -> None:
    def opened() -> Iterator[str]:
        log.append("opens")
        try:
            yield "value"
        except LookupError:
            log.append("saw the failure")
            raise
        finally:
            log.append("closes")

    def handler(id: int, value: str = Depends(opened)) -> str:  # type: ignore[assignment]
        if id == 0:
            raise LookupError
        return value

    bound = bind(handler, TEMPLATE)
    assert not bound.is_async
    assert bound.call(message(1)) == "value"
    with pytest.raises(LookupError):
        bound.call(message(0))
    assert log == ["opens", "closes", "opens", "saw the failure", "closes"]


async def test_a_worker_whose_factory_fails_closes_what_was_made() -> None:
    def broken(pool: str = Depends(pool, scope="worker")) -> str:  # type: ignore[assignment]
        raise OSError("no database")

    def handler(value: str = Depends(broken, scope="worker")) -> None:  # type: ignore[assignment]
        """Never."""

    with pytest.raises(OSError, match="no database"):
        await WorkerNeeds(bind(handler, TEMPLATE).worker_needs).open()
    assert log == ["pool opens", "pool closes"]


def test_what_cannot_be() -> None:
    def of_message(id: int) -> int:
        return id

    def within(value: int = Depends(of_message)) -> int:  # type: ignore[assignment]
        return value

    def itself(value: int = 0) -> int:
        return value

    itself.__defaults__ = (Depends(itself),)
    for factory, scope, said in (
        (of_message, "worker", "'id' is of a message"),
        (within, "worker", "'value' is of a message"),
        (itself, "message", "it depends on itself"),
        (lambda nobody_knows: 1, "message", None),
    ):

        def handler(value: Any = Depends(factory, scope=scope)) -> None:  # type: ignore[arg-type]  # noqa: B008
            """Never."""

        if said is None:
            bind(handler, TEMPLATE)  # its only parameter is the message
        else:
            with pytest.raises(BindError, match=said):
                bind(handler, TEMPLATE)
    with pytest.raises(TypeError, match="wants a function"):
        Depends(5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the scope is"):
        Depends(itself, scope="day")  # type: ignore[arg-type]
