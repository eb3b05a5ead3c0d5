"""The middleware that is shipped."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routemq_tui.middleware import Deduplicate, RateLimit, Timing
from routemq_tui.routing.message import Message
from routemq_tui.routing.middleware import Context


def context(number: int = 1, device: str = "a", worker: str = "r/1") -> Context:
    message = Message(f"t/{device}", {"device": device}, b"%d" % number, worker=worker)
    return {"topic": message.topic, "params": message.params, "message": message, "payload": number}


class Handler:
    def __init__(self, fails: int = 0) -> None:
        self.handled: list[Any] = []
        self.fails = fails

    async def __call__(self, context: Context) -> None:
        if self.fails:
            self.fails -= 1
            raise LookupError
        self.handled.append(context["payload"])


# Timing


async def test_what_takes_long_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def slow(context: Context) -> None:
        await asyncio.sleep(0.02)

    timing = Timing(slower_than=0.01)
    await timing.handle(context(), slow)
    await timing.handle(context(), Handler())
    assert timing.count == 2
    assert timing.longest >= 0.02
    (told,) = caplog.messages
    assert told.startswith("t/a took ")


async def test_what_fails_is_timed_too() -> None:
    timing = Timing(slower_than=5)
    with pytest.raises(LookupError):
        await timing.handle(context(), Handler(fails=1))
    assert timing.count == 1


# Rate


@given(st.lists(st.floats(0, 3), min_size=1, max_size=60), st.floats(0.5, 50), st.integers(1, 20))
def test_never_more_than_rate_and_burst(gaps: list[float], rate: float, burst: int) -> None:
    now = 0.0
    limit = RateLimit(rate, burst, "drop", clock=lambda: now)
    taken: list[float] = []

    async def handler(_context: Context) -> None:
        taken.append(now)

    async def send_all() -> None:
        nonlocal now
        for gap in gaps:
            now += gap
            await limit.handle(context(), handler)

    asyncio.run(send_all())
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + rate * (taken[last] - taken[first]) + 1e-6


class Time:
    """Stands still but for `go_on`; what sleeps until then goes on."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleep = asyncio.sleep
        self._alarms: list[tuple[float, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        alarm = asyncio.get_running_loop().create_future()
        self._alarms.append((self.now + seconds, alarm))
        await alarm

    async def go_on(self, seconds: float) -> None:
        self.now += seconds
        for at, alarm in self._alarms:
            if at <= self.now + 1e-9 and not alarm.done():
                alarm.set_result(None)
        await self.settle()

    async def settle(self) -> None:
        for _ in range(6):
            await self._sleep(0)


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> Time:
    still = Time()
    monkeypatch.setattr(asyncio, "sleep", still.sleep)
    return still


@pytest.mark.parametrize("cancelled", [(), (0,), (3,), (1, 2, 4), (0, 1, 2, 3, 4, 5)])
async def test_those_that_wait_come_in_their_turn(cancelled: tuple[int, ...], still: Time) -> None:
    # given one that was handled at once, and more that wait
    handler, limit = Handler(), RateLimit(10, 1, clock=lambda: still.now)
    await limit.handle(context(99), handler)
    waiting = [asyncio.ensure_future(limit.handle(context(number), handler)) for number in range(6)]
    await still.settle()
    # when some of them give up, and one comes after all of them
    for number in cancelled:
        waiting[number].cancel()
    last = asyncio.ensure_future(limit.handle(context(6), handler))
    await still.settle()
    # then the others are handled in order, one at each step, and no step is left out
    left = [number for number in range(7) if number not in cancelled]
    for done in range(1, len(left) + 1):
        await still.go_on(0.05)
        await still.go_on(0.05)
        assert handler.handled == [99, *left[:done]]
    await last


async def test_those_that_time_out_take_nothing_from_others(still: Time) -> None:
    # given more at once than the rate lets through within their timeout
    handler, limit = Handler(), RateLimit(10, 1, clock=lambda: still.now)
    for second in range(1, 6):
        waiting = [asyncio.ensure_future(limit.handle(context(), handler)) for _ in range(20)]
        await still.settle()
        for _ in range(10):
            await still.go_on(0.1)
        # when the others time out, second after second
        for each in waiting:
            each.cancel()
        await still.settle()
        # then the rate is held, and used
        assert 10 * second <= len(handler.handled) <= 10 * second + 1


async def test_a_late_awakening_is_made_up_for_within_bounds(still: Time) -> None:
    handler, limit = Handler(), RateLimit(100, 1, clock=lambda: still.now)
    waiting = [asyncio.ensure_future(limit.handle(context(number), handler)) for number in range(20)]
    await still.settle()
    assert len(handler.handled) == 1
    await still.go_on(0.03)
    assert len(handler.handled) == 4
    await still.go_on(5)
    assert len(handler.handled) == 4 + 6
    for each in waiting:
        each.cancel()


@given(st.lists(st.sampled_from(["comes", "gives up", "time"]), max_size=60), st.integers(1, 3))
def test_never_more_than_the_rate_whoever_gives_up(steps: list[str], burst: int) -> None:
    handled: list[tuple[int, float]] = []
    waiting: list[asyncio.Future[None]] = []
    still = Time()
    limit = RateLimit(1, burst, clock=lambda: still.now)

    async def handler(context: Context) -> None:
        handled.append((context["payload"], still.now))

    async def play() -> None:
        for number, step in enumerate([*steps, *["time"] * len(steps)]):
            if step == "comes":
                waiting.append(asyncio.ensure_future(limit.handle(context(number), handler)))
            elif step == "gives up" and waiting:
                waiting.pop(len(waiting) // 2).cancel()
            await still.go_on(step == "time")
            waiting[:] = [each for each in waiting if not each.done()]
        assert not waiting

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "sleep", still.sleep)
        asyncio.run(play())
    assert handled == sorted(handled)
    for first in range(len(handled)):
        for last in range(first, len(handled)):
            assert last - first + 1 <= burst + handled[last][1] - handled[first][1] + 1e-6


async def test_what_is_too_much_is_dropped_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    handler, limit = Handler(), RateLimit(1, 3, "drop", clock=lambda: 0.0)
    for number in range(10):
        await limit.handle(context(number), handler)
    assert handler.handled == [0, 1, 2]
    assert limit.dropped == 7
    assert len(caplog.messages) == 1


async def test_each_key_has_its_own() -> None:
    handler = Handler()
    limit = RateLimit(1, 1, "drop", key=lambda context: context["params"]["device"], clock=lambda: 0.0)
    for device in ("a", "b", "a", "c", "b"):
        await limit.handle(context(1, device), handler)
    assert len(handler.handled) == 3


def test_keys_are_bounded() -> None:
    limit = RateLimit(1, 1, clock=lambda: 0.0)
    for number in range(30_000):
        limit._bucket(number)
    assert len(limit._buckets) == 10_000


async def test_waiting_takes_the_time_it_says() -> None:
    handler, limit = Handler(), RateLimit(100, 1)
    begun = time.monotonic()
    for number in range(6):
        await limit.handle(context(number), handler)
    assert time.monotonic() - begun >= 0.049
    assert handler.handled == list(range(6))


@pytest.mark.parametrize("wrong", [{"rate": 0}, {"rate": 1, "burst": 0.5}, {"rate": 1, "excess": "lose"}])
def test_what_is_no_limit(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"rate|excess"):
        RateLimit(**wrong)


# Deduplication


@pytest.fixture(params=["memory", "file"])
def once(request: pytest.FixtureRequest, tmp_path: Path) -> Deduplicate:
    return Deduplicate(keep=50, file=tmp_path / "seen.db" if request.param == "file" else None)


async def test_each_message_once(once: Deduplicate, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    handler = Handler()
    for number in (1, 2, 1, 3, 2, 1):
        await once.handle(context(number), handler)
    assert handler.handled == [1, 2, 3]
    assert once.dropped == 3
    await once.handle(context(1, "b"), handler)
    assert handler.handled == [1, 2, 3, 1]


async def test_one_that_failed_is_tried_again(once: Deduplicate) -> None:
    handler = Handler(fails=1)
    with pytest.raises(LookupError):
        await once.handle(context(1), handler)
    await once.handle(context(1), handler)
    assert handler.handled == [1]


async def test_only_the_last_keys_are_kept(once: Deduplicate) -> None:
    handler = Handler()
    for number in range(500):
        await once.handle(context(number), handler)
    for number in (499, 460, 0):
        await once.handle(context(number), handler)
    assert handler.handled == [*range(500), 0]


async def test_a_key_of_ones_own() -> None:
    once, handler = Deduplicate(key=lambda context: context["payload"] % 3), Handler()
    for number in range(9):
        await once.handle(context(number), handler)
    assert handler.handled == [0, 1, 2]


async def test_routes_that_share_a_file_do_not_take_each_others_messages(tmp_path: Path) -> None:
    handled: list[str] = []

    async def handler(context: Context) -> None:
        handled.append(context["message"].worker)

    # given a message that comes to two routes, and each to two workers
    for worker in ("stored/1", "audited/1", "stored/2", "audited/2"):
        await Deduplicate(file=tmp_path / "seen.db").handle(context(worker=worker), handler)
    # then each route has handled it once
    assert handled == ["stored/1", "audited/1"]


def _handle(file: Path, numbers: list[int]) -> list[Any]:
    handler, once = Handler(), Deduplicate(file=file)

    async def all_of_them() -> None:
        for number in numbers:
            await once.handle(context(number), handler)

    asyncio.run(all_of_them())
    return handler.handled


def test_a_file_is_shared_by_processes_and_outlives_them(tmp_path: Path) -> None:
    file = tmp_path / "seen.db"
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        first = pool.starmap(_handle, [(file, list(range(100))), (file, list(range(100, 200)))])
        again = pool.starmap(_handle, [(file, list(range(200)))])
    assert sorted(first[0] + first[1]) == list(range(200))
    assert again == [[]]
    with sqlite3.connect(file) as database:
        assert database.execute("SELECT count(*) FROM seen").fetchone() == (200,)
    database.close()
