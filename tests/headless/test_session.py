"""The plain front end over a scripted engine: what it prints, when it stops, and with which code."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable

import pytest

from routemq_tui import headless
from routemq_tui.engine.commands import Command, Reload, Stop
from routemq_tui.engine.snapshot import EngineState
from routemq_tui.errors import ExitCode
from routemq_tui.headless import output, session
from routemq_tui.headless.json_lines import JsonLines
from tests.fakes.engine import FakeEngine
from tests.fakes.snapshots import all_failed, broker_down, busy, draining
from tests.waiting import wait_until


class Out(io.StringIO):
    """Standard output; calls back the first time a text was printed."""

    def __init__(self, **on_text: Callable[[], object]) -> None:
        super().__init__()
        self.on_text = dict(on_text)

    def when(self, text: str, action: Callable[[], object]) -> Out:
        self.on_text[text] = action
        return self

    def write(self, text: str) -> int:
        count = super().write(text)
        for each in [each for each in self.on_text if each in self.getvalue()]:
            self.on_text.pop(each)()
        return count

    @property
    def lines(self) -> list[str]:
        return self.getvalue().splitlines()


def engine_at_work() -> FakeEngine:
    engine = FakeEngine(busy())
    engine.stops_when_asked()
    return engine


def signal_us(number: signal.Signals) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def test_the_first_line_says_that_these_are_plain_lines_and_why() -> None:
    engine = engine_at_work()
    out = Out()
    headless.run(engine, duration=0.0, out=out, why="no terminal")
    assert "plain lines instead of the screen (no terminal), for 0 s" in out.lines[0]


def test_log_lines_come_with_time_level_source_and_text() -> None:
    engine = engine_at_work()
    engine.logs.add("temperature/2", "first\nsecond", 1_700_000_000.25, level=40)
    out = Out()
    headless.run(engine, duration=0.0, out=out)
    at = next(number for number, line in enumerate(out.lines) if "temperature/2" in line)
    assert re.fullmatch(r"\d\d:\d\d:20\.250 ERROR    temperature/2    first", out.lines[at])
    assert out.lines[at + 1] == "    second"


def test_a_duration_ends_it_with_a_summary_and_code_0() -> None:
    engine = engine_at_work()
    out = Out()
    assert headless.run(engine, duration=0.25, out=out) == ExitCode.OK
    assert engine.commands == [Stop()]
    table = out.lines[next(n for n, line in enumerate(out.lines) if line.startswith("summary of")) + 1 :]
    assert table[0].split() == ["worker", "state", "ok", "failed", "msg/s", "p95", "CPU"]
    cells = {line.split()[0]: line.split()[1:] for line in table[1:]}
    assert list(cells) == ["temperature/1", "temperature/2", "temperature/3", *_OTHER_WORKERS, "total"]
    assert cells["temperature/2"] == ["running", "12710", "127", "0", "22ms", "22.0%"]
    assert cells["alerts/2"][0] == "backoff"
    assert len({len(line) for line in table}) == 1, "columns are aligned"


STOPPED = EngineState.STOPPED
_OTHER_WORKERS = ["alerts/1", "alerts/2", "orders/1"]


def test_a_hangup_reads_the_configuration_anew() -> None:
    engine = FakeEngine(busy())

    def answer(command: Command) -> None:
        if isinstance(command, Stop):
            engine.show(state=EngineState.STOPPED)

    engine.on_command = answer
    out = Out().when("until SIGINT", signal_us(signal.SIGHUP))
    out.when("reading the configuration anew", signal_us(signal.SIGTERM))
    assert headless.run(engine, duration=None, out=out) == ExitCode.OK
    assert engine.commands == [Reload(), Stop()]


@pytest.mark.parametrize("why", ["a signal", "the time", "ctl stop"])
def test_a_hangup_while_the_workers_drain_is_ignored(why: str) -> None:
    # given workers that finish only when they are forced to
    engine = FakeEngine(busy())
    engine.stops_only_by_force()
    if why == "ctl stop":
        engine.show(state=EngineState.STOPPING)
        out = Out().when("until SIGINT", signal_us(signal.SIGHUP))
    elif why == "the time":
        out = Out().when("the time is up", signal_us(signal.SIGHUP))
    else:
        out = Out().when("until SIGINT", signal_us(signal.SIGTERM))
        out.when("draining the workers", signal_us(signal.SIGHUP))
    # when the terminal is gone, or somebody reloads
    out.when("SIGHUP: ignored, since the workers are being drained", lambda: engine.show(state=STOPPED))
    duration = 0.1 if why == "the time" else None
    assert headless.run(engine, duration=duration, out=out) == ExitCode.OK
    # then nothing is forced and nothing is read anew
    assert engine.commands == ([] if why == "ctl stop" else [Stop()])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_and_the_next_one_forces(number: signal.Signals) -> None:
    engine = FakeEngine(busy())

    def answer(command: Command) -> None:
        assert isinstance(command, Stop)
        engine.show(state=EngineState.STOPPED if command.force else EngineState.STOPPING)

    engine.on_command = answer
    before = signal.getsignal(number)
    out = Out().when("until SIGINT", signal_us(number)).when("draining the workers", signal_us(number))
    assert headless.run(engine, duration=None, out=out) == ExitCode.OK
    assert engine.commands == [Stop(), Stop(force=True)]
    assert f"{number.name}: draining the workers" in out.getvalue()
    assert f"{number.name}: stopping at once" in out.getvalue()
    assert signal.getsignal(number) is before
    assert "summary" not in out.getvalue()


def test_an_engine_that_stops_by_itself_ends_it() -> None:
    engine = FakeEngine(draining())
    engine.show(state=EngineState.STOPPED)
    assert headless.run(engine, duration=None, out=Out()) == ExitCode.OK
    assert engine.commands == []


def test_when_every_worker_was_given_up_it_stops_with_that_code() -> None:
    engine = FakeEngine(all_failed())
    engine.stops_when_asked()
    out = Out()
    assert headless.run(engine, duration=None, out=out) == ExitCode.WORKERS_FAILED
    assert "every worker was given up: draining" in out.getvalue()


def test_one_worker_given_up_is_told_by_the_code_at_the_end() -> None:
    failed = all_failed().routes[1]
    engine = FakeEngine(busy())
    engine.show(routes=(*busy().routes[:1], failed))
    engine.stops_when_asked()
    assert headless.run(engine, duration=0.15, out=Out()) == ExitCode.WORKERS_FAILED


def test_a_status_line_comes_within_a_second_and_names_a_broker_that_is_down() -> None:
    engine = FakeEngine(broker_down())
    engine.stops_when_asked()
    out = Out().when("status  ", signal_us(signal.SIGTERM))
    headless.run(engine, duration=5.0, out=out)
    status = next(line for line in out.lines if " status " in line)
    assert "WARNING" in status
    assert "running, unhealthy, 3/3 workers" in status
    assert "broker mqtt://broker.example.net:1883 down: connection refused" in status
    assert "the time is up" not in out.getvalue()


def test_a_broker_that_was_never_there_is_told_by_the_code_of_a_timed_run() -> None:
    engine = FakeEngine(broker_down())
    engine.stops_when_asked()
    assert headless.run(engine, duration=0.0, out=Out()) == ExitCode.BROKER_UNAVAILABLE


def test_a_flood_is_cut_and_the_lines_not_shown_are_counted() -> None:
    engine = engine_at_work()
    for number in range(30_000):
        engine.logs.add("temperature/1", f"line {number}")
    out = Out()
    headless.run(engine, duration=0.0, out=out)
    shown = [line for line in out.lines if " line " in line]
    missed = [int(match[1]) for match in re.finditer(r"(\d+) log lines not shown", out.getvalue())]
    assert len(shown) == 10_000
    assert shown[-1].endswith("line 29999"), "the newest are shown"
    assert missed == [20_000]


def test_lines_the_store_let_go_are_counted() -> None:
    engine = engine_at_work()

    def let_go() -> None:
        for number in range(50):
            engine.logs.add("temperature/1", f"late {number}")
        engine.logs.let_go(41)

    engine.logs.add("temperature/1", "early")
    out = Out().when("early", let_go)
    headless.run(engine, duration=0.3, out=out)
    assert "40 log lines not shown" in out.getvalue()
    assert sum("late" in line for line in out.lines) == 10


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ENOSPC, errno.EIO])
def test_when_nothing_can_be_written_any_more_the_workers_drain(number: int) -> None:
    # given an output that fails after the first line
    class Failing(Out):
        def write(self, text: str) -> int:
            if "until SIGINT" not in text:
                raise OSError(number, os.strerror(number))
            return super().write(text)

    engine, said = engine_at_work(), list[str]()
    engine.on_command = lambda command: engine.show(state=EngineState.STOPPING)
    before = signal.getsignal(signal.SIGHUP)
    out = Failing().when("until SIGINT", lambda: engine.logs.add("temperature/1", "second"))

    def finish() -> None:
        wait_until(lambda: engine.commands, what="it stops")
        os.kill(os.getpid(), signal.SIGHUP)  # as from a terminal that is closed
        wait_until(lambda: engine.logs.reads > reads + 3, what="it goes on meanwhile")
        engine.show(state=STOPPED)

    reads = engine.logs.reads
    ending = threading.Thread(target=finish)
    ending.start()
    # then that is said, the drain is seen to its end, and the caller is told
    error = BrokenPipeError if number == errno.EPIPE else headless.OutputLostError
    with pytest.raises(error):
        headless.run(engine, duration=None, out=out, complain=said.append)
    ending.join()
    assert engine.commands == [Stop()]
    told = f"standard output cannot be written: {os.strerror(number)}; draining the workers"
    assert said == ([] if number == errno.EPIPE else [told])
    assert signal.getsignal(signal.SIGHUP) is before


@pytest.mark.parametrize("end", ["signal", "duration"])
def test_a_reader_that_does_not_read_keeps_it_neither_from_stopping_nor_from_reloading(
    end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_LAST_LINES", 0.3)
    engine, said = FakeEngine(busy()), list[str]()
    reading, writing = os.pipe()
    for number in range(2000):
        engine.logs.add("temperature/1", f"{number} {'x' * 100}")

    def answer(command: Command) -> None:
        if isinstance(command, Stop):
            engine.show(state=STOPPED)
        else:
            signal_us(signal.SIGTERM)()

    engine.on_command = answer
    if end == "signal":
        threading.Timer(0.5, signal_us(signal.SIGHUP)).start()
    with os.fdopen(writing, "w") as out:
        began = time.monotonic()
        duration = 0.5 if end == "duration" else None
        assert headless.run(engine, duration=duration, out=out, complain=said.append) == ExitCode.OK
        assert time.monotonic() - began < 5.0
        assert engine.commands == ([Stop()] if end == "duration" else [Reload(), Stop()])
        assert re.fullmatch(r"up to \d+ lines were not written: nobody read them", said[0])
        os.close(reading)


def test_what_was_dropped_is_told_in_the_form_of_the_other_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "MOST_LINES", 10)
    for wording in (None, JsonLines()):
        engine = engine_at_work()
        for number in range(500):
            engine.logs.add("temperature/1", f"line {number}")
        out = Out()
        headless.run(engine, duration=0.0, out=out, wording=wording)
        told = next(line for line in out.lines if "dropped here" in line)
        count = re.search(r"(\d+) lines were dropped here: nobody read them in time", told)
        assert count is not None
        shown = sum('"line ' in line or " line " in line for line in out.lines)
        assert int(count[1]) >= 490 - shown
        assert (json.loads(told)["level"] if wording else told.split()[1]) == "WARNING"


def test_json_lines_are_objects_with_time_level_and_what() -> None:
    engine = engine_at_work()
    engine.logs.add("temperature/1", "device 3 is hot", level=30)
    engine.logs.add("temperature/1", "connected", stream="event")
    out = Out()
    headless.run(engine, duration=0.0, out=out, wording=JsonLines())
    said = [json.loads(line) for line in out.getvalue().splitlines()]
    assert all(each["ts"].endswith("Z") and each["level"] for each in said)
    hot = next(each for each in said if each.get("message") == "device 3 is hot")
    assert (hot["level"], hot["route"], hot["worker"]) == ("WARNING", "temperature", "temperature/1")
    assert isinstance(hot["pid"], int)
    assert next(each for each in said if each.get("event") == "connected")["worker"] == "temperature/1"
    summary = said[-1]
    assert summary["event"] == "summary"
    assert {each["name"] for each in summary["workers"]} >= {"temperature/1"}
