"""The hot loop against the plain parts: same calls, counts and acknowledgements, and what it leaves."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routemq_tui.worker import black_box, cells
from routemq_tui.worker.hot_path import Packet
from tests.worker.hot_rig import FOREVER, Rig, packet


@given(st.lists(st.integers(0, 2), min_size=1, max_size=30), st.integers(0, 40))
def test_a_batch_is_counted_and_acknowledged_as_one_by_one(qos: list[int], extra: int) -> None:
    # given the same messages for the hot loop and for the plain bookkeeping
    seen: list[tuple[int, int]] = []
    hot = Rig(lambda n, message: seen.append((n, message.qos)))
    plain = Rig(lambda n: None)
    packets = [packet(n, each, b"x" * (extra + n)) for n, each in enumerate(qos, 1)]
    # when one takes them as a batch and the other one after the other
    assert hot.hands.take(packets)
    assert plain.hands.take(packets)
    plain.hands.spill()
    assert [each.fingerprint for each in plain.hands] == list(black_box.in_hand_fingerprints(hot.words))
    while hot.hands.batch:
        before = hot.hands.batch.at
        ran = hot.hot.run(hot.hands.batch, FOREVER)
        assert not ran.open
        hot.hands.conclude(ran, hot.hands.batch.at - before)
    while plain.hands.waiting:
        plain.hands.finish(plain.hands.begin())
    # then there is no difference but that of two kinds of acknowledgement in one write
    assert seen == [(n, each) for n, each in enumerate(qos, 1)]
    for level in (1, 2):
        kind = [each for each in plain.out.sent if each[1] == level]
        assert [each for each in hot.out.sent if each[1] == level] == kind
    assert hot.counters.ok == len(packets)
    for name in ("received", "acknowledged", "in_flight", "bytes"):
        assert getattr(hot.counters, name) == getattr(plain.counters, name), name
    assert sum(cells.read_histogram(hot.words)) == len(packets)
    assert hot.counters.current_since_ns == 0


@pytest.mark.parametrize("odd", [packet(2, flags=8), packet(2, topic="t/x"), packet(2, topic="u")])
def test_what_is_out_of_the_ordinary_is_left_alone(odd: Packet) -> None:
    rig = Rig(lambda n: None)
    assert not rig.hands.take([packet(1), odd, packet(3)])
    assert (rig.counters.received, rig.counters.bytes, len(rig.hands.batch)) == (0, 0, 0)


def test_an_exception_ends_the_run_with_its_message_open() -> None:
    def handle(n: int) -> None:
        if n == 2:
            raise SystemExit("no")

    rig = Rig(handle)
    rig.hands.take([packet(n) for n in (1, 2, 3)])
    ran = rig.hot.run(rig.hands.batch, FOREVER)
    assert isinstance(ran.error, SystemExit)
    with pytest.raises(SystemExit):
        ran.result()
    # then the first is done, the second is named, and the third waits behind it
    rig.hands.conclude(ran, 1)
    assert (rig.out.sent, rig.counters.ok) == ([(1, 1)], 1)
    assert black_box.current_fingerprint(rig.words) == cells.fingerprint(b"t/2", b"{}")
    assert rig.counters.current_since_ns > 0
    second = rig.hands.open()
    assert (second.packet_id, [each.packet_id for each in rig.hands.waiting]) == (2, [3])
    rig.hands.finish(second)
    assert rig.out.sent == [(1, 1), (2, 1)]
    assert rig.counters.in_flight == 1


async def test_a_coroutine_that_waits_is_awaited_from_where_it_is() -> None:
    steps: list[object] = []

    async def handle(n: int) -> str:
        steps.append(n)
        if n == 2:
            async with asyncio.timeout(5):
                await asyncio.sleep(0.01)
            try:
                await asyncio.wait_for(asyncio.sleep(60), 0.01)
            except TimeoutError:
                steps.append("timed out")
        return "done"

    rig = Rig(handle)
    rig.hands.take([packet(n) for n in (1, 2, 3)])
    ran = rig.hot.run(rig.hands.batch, FOREVER)
    assert steps == [1, 2]
    awaitable = ran.result()
    assert awaitable is not None
    assert await awaitable == "done"
    assert steps == [1, 2, "timed out"]


async def test_a_cancellation_reaches_the_coroutine_where_it_waits() -> None:
    told: list[str] = []

    async def handle(n: int) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    rig = Rig(handle)
    rig.hands.take([packet(1)])
    awaitable = rig.hot.run(rig.hands.batch, FOREVER).result()
    assert awaitable is not None
    task = asyncio.ensure_future(awaitable)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told == ["cancelled"]


def test_after_a_handler_that_took_its_time_what_is_done_is_acknowledged() -> None:
    rig = Rig(lambda n: time.sleep(0.002) if n == 2 else None)
    rig.hands.take([packet(n) for n in (1, 2, 3)])
    ran = rig.hot.run(rig.hands.batch, FOREVER)
    assert (ran.pubacks, len(rig.hands.batch), ran.open) == ([1, 2], 1, False)
