"""Whatever a handler writes arrives in its worker's channel, once, and nowhere else."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from routemq_tui.engine.sanitise import clean_lines
from routemq_tui.worker import black_box
from routemq_tui.worker.log_queue import LINE_LIMIT
from tests.waiting import wait_until
from tests.worker.harness import Project, Publisher, Worker

Make = Callable[[str], Project]


def spoken(project: Make, publisher: Publisher, code: str, **changes: object) -> tuple[Project, Worker]:
    """A worker that has handled one message with this code."""
    here = project(code)
    worker = here.running(**changes)
    publisher.publish_many(1)
    worker.wait_handled(1)
    worker.drain()
    return here, worker


def test_every_way_of_saying_something_arrives_once(
    project: Make, publisher: Publisher, capfd: pytest.CaptureFixture[str]
) -> None:
    # given a handler that uses all of them
    _, worker = spoken(
        project,
        publisher,
        """
        import ctypes, gc, logging, subprocess, sys, threading, warnings
        class Bad:
            def __del__(self): raise ValueError("said by a finaliser")
        def handle(n):
            print("said by print")
            print("two\\nlines")
            print("said to stderr", file=sys.stderr)
            sys.stdout.buffer.write(b"said in bytes \\xff\\n")
            logging.getLogger("app.part").warning("said by %s", "logging")
            logging.debug("said too quietly")
            warnings.warn("said by a warning")
            os.write(1, b"said to descriptor 1\\n")
            os.write(2, b"said to descriptor 2\\n")
            ctypes.CDLL(None).puts(b"said by C"); ctypes.CDLL(None).fflush(None)
            subprocess.run(["echo", "said by a child"])
            thread = threading.Thread(target=lambda: 1 / 0, name="worker-thread")
            thread.start(); thread.join()
            Bad(); gc.collect()
            print("said without an end", end="")
        """,
    )
    said = [(record.stream, record.logger, record.level, record.text) for record in worker.logs]
    # then each is there exactly once, with its stream, logger and level
    for line in [
        ("stdout", "", logging.INFO, "said by print"),
        ("stdout", "", logging.INFO, "two"),
        ("stdout", "", logging.INFO, "lines"),
        ("stderr", "", logging.WARNING, "said to stderr"),
        ("stdout", "", logging.INFO, "said in bytes \\xff"),
        ("log", "app.part", logging.WARNING, "said by logging"),
        ("stdout", "", logging.INFO, "said without an end"),
    ]:
        assert said.count(line) == 1, line
    whole = "\n".join(worker.texts())
    raw = {name: data.decode() for name, data in worker.raw.items()}
    assert raw["stdout"].split("\n") == ["said to descriptor 1", "said by C", "said by a child", ""]
    assert raw["stderr"] == "said to descriptor 2\n"
    for phrase in ("said by a warning", "said by a finaliser", "ZeroDivisionError: division by zero"):
        assert sum(phrase in text for text in worker.texts()) == 1, phrase
    assert "worker-thread" in whole
    assert "said too quietly" not in whole
    # and nothing came to our own descriptors
    assert capfd.readouterr() == ("", "")


def test_a_segfault_leaves_the_last_lines_and_the_native_traceback(
    project: Make, publisher: Publisher
) -> None:
    here = project("""
        import ctypes, logging
        def handle(n):
            for number in range(20):
                print("line", number)
            logging.error("the last one")
            ctypes.string_at(0)
    """)
    worker = here.running()
    publisher.publish_many(1)
    assert worker.wait_exit() == -signal.SIGSEGV
    assert [text for text in worker.texts("stdout") if "line" in text] == [f"line {n}" for n in range(20)]
    assert worker.texts("log").count("the last one") == 1
    native = worker.raw["stderr"].decode()
    assert native.count("Fatal Python error: Segmentation fault") == 1
    assert "handlers.py" in native
    # and the message it died of can be named
    current = black_box.read_current(worker.words)
    assert current is not None
    assert current[0] == "t/0"


def test_a_sudden_exit_leaves_what_was_flushed(project: Make, publisher: Publisher) -> None:
    here = project("""
        import sys
        def handle(n):
            print("half a line", end="", flush=True)
            os._exit(9)
    """)
    worker = here.running()
    publisher.publish_many(1)
    assert worker.wait_exit() == 9
    assert worker.texts("stdout") == ["half a line"]


def test_a_line_begun_is_shown_soon(project: Make, publisher: Publisher) -> None:
    here = project("""
        def handle(n):
            print("prompt: ", end="")
            time.sleep(1.5)
    """)
    worker = here.running()
    publisher.publish_many(1)
    worker.wait_until(lambda: "prompt: " in worker.texts(), timeout=1.0, what="the line begun")
    assert worker.counters.current_since_ns  # while the handler still runs


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        (r"print(); print('a'); print(); print(); print('b')", ["", "a", "", "", "b"]),
        (r"print('a\n\n'); print('b')", ["a", "", "", "b"]),
        (r"sys.stdout.write('\n\n\na\n')", ["", "", "", "a"]),
        (r"print('a', end='', flush=True); print(); print('b')", ["a", "b"]),
        (r"print('a', end='', flush=True); sys.stdout.write('\n\nb\n')", ["a", "", "b"]),
        (r"print('a', end='', flush=True); print('b\n')", ["a", "b", ""]),
        (r"print('x' * 100_000); print(); print('b')", ["x" * LINE_LIMIT, "", "b"]),
        (r"logging.warning(''); logging.warning('b')", ["", "b"]),
    ],
)
def test_blank_lines_are_lines(project: Make, publisher: Publisher, code: str, lines: list[str]) -> None:
    _, worker = spoken(
        project, publisher, f"import logging, sys\ndef handle(n):\n    {code}", log_level="WARNING"
    )
    texts = [record.text for record in worker.logs if record.logger != "routemq.worker"]
    assert [line for text in texts for line in lines_of(text)] == lines


def lines_of(text: str) -> list[str]:
    """As the engine makes lines of a record."""
    return [line.text.partition(" …")[0] for line in clean_lines(text)]


@pytest.mark.parametrize(
    "setup",
    [
        "logging.basicConfig(level=logging.DEBUG)",
        "logging.basicConfig(level=logging.ERROR, force=True)",
        "logging.getLogger().addHandler(logging.StreamHandler())",
        "logging.getLogger('app').addHandler(logging.StreamHandler(sys.stdout))",
        "logging.config.dictConfig({'version': 1, 'root': {'handlers': []}})",
    ],
)
def test_logging_set_up_by_the_module_neither_doubles_nor_loses(
    project: Make, publisher: Publisher, setup: str
) -> None:
    _, worker = spoken(
        project,
        publisher,
        f"""
        import logging, logging.config, sys
        {setup}
        def handle(n):
            logging.getLogger("app").info("once")
        """,
    )
    assert sum("once" in text for text in worker.texts()) == 1


def test_a_log_file_of_the_module_is_kept(project: Make, publisher: Publisher, tmp_path: Path) -> None:
    _, worker = spoken(
        project,
        publisher,
        f"""
        import logging
        logging.basicConfig(filename={str(tmp_path / "own.log")!r}, level=logging.INFO, force=True)
        def handle(n):
            logging.info("to both")
        """,
    )
    assert "to both" in (tmp_path / "own.log").read_text()
    assert worker.texts("log").count("to both") == 1


def test_hostile_text_arrives_whole(project: Make, publisher: Publisher) -> None:
    _, worker = spoken(
        project,
        publisher,
        r"""
        import logging
        def handle(n):
            print("\x1b[2J\x00[bold]" + "x" * 10)
            print("surrogate \udcff")
            logging.warning("surrogate \udc80")
            logging.warning("%d", "no number")
            print("y" * 3_000_000)
        """,
    )
    texts = worker.texts()
    assert "\x1b[2J\x00[bold]xxxxxxxxxx" in texts
    assert "surrogate \\udcff" in texts
    assert "surrogate \\udc80" in texts
    assert any("no number" in text and "TypeError" in text for text in texts)
    (long,) = [record for record in worker.logs if record.text.startswith("yyy")]
    assert len(long.text) + long.cut == 3_000_000
    assert worker.counters.failed == 0


def test_a_reader_that_stalls_does_not_hold_up_a_handler(project: Make, publisher: Publisher) -> None:
    # given a worker whose log nobody reads
    here = project("""
        import logging
        def handle(n):
            for number in range(60_000):
                logging.info("%06d %s", number, "x" * 200)
            record("done")
    """)
    worker = here.running()
    publisher.publish_many(1)
    # when it logs far more than the pipe and the buffer hold
    wait_until(lambda: here.calls() == ["done"], timeout=20, what="the handler ends")
    # then it was not held up, and what was dropped is counted
    worker.wait_handled(1)
    worker.drain()
    numbers = [int(text[:6]) for text in worker.texts("log") if text[:6].isdigit()]
    assert worker.counters.log_dropped > 0
    assert len(numbers) + worker.counters.log_dropped == 60_000
    assert numbers[-1] == 59_999  # the oldest went
    assert numbers == sorted(numbers)


def test_standard_input_is_empty(project: Make, publisher: Publisher) -> None:
    _, worker = spoken(project, publisher, "def handle(n): print(repr(os.read(0, 10)))")
    assert worker.texts("stdout") == ["b''"]


@pytest.mark.parametrize(
    "left_behind",
    [
        "def handle(n): record(n); threading.Thread(target=time.sleep, args=(60,)).start()",
        "async def handle(n): record(n); await asyncio.to_thread(time.sleep, 60)",
    ],
)
def test_threads_left_behind_do_not_keep_the_process(
    project: Make, publisher: Publisher, left_behind: str
) -> None:
    here = project(f"import asyncio, atexit, threading\n{left_behind}")
    worker = here.running()
    publisher.publish_many(1)
    worker.wait_until(here.calls, what="the handler begins")
    assert worker.drain(keep_session=True, timeout=0.2) == 0


def test_a_worker_has_no_terminal_and_leads_its_group(project: Make) -> None:
    worker = project("def handle(n): pass").running()
    assert worker.process is not None
    assert worker.process.pid is not None
    assert os.getpgid(worker.process.pid) == os.getsid(worker.process.pid) == worker.process.pid
