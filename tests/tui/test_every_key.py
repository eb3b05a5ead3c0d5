"""The real program in a real terminal: every key of the table is pressed, and the screen says what it did."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from routemq_tui.tui.keys import KEYS
from tests.tui.tmux import Tmux, is_on, terminal
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
NARROW = 110
TABLE = "route / worker"
HEADING = "^ route / worker.*"
HANDLERS = """
import logging

log = logging.getLogger("handlers")


def steady(device_id: str, payload: dict) -> None:
    log.info("device %s is cold", device_id)
    log.debug("not shown")


def failing(payload: dict) -> None:
    raise ValueError("no such shop")
"""
PROJECT = """
[app]
log_level = "DEBUG"
[broker]
url = "embedded"
[routes.sensors]
topic = "sensors/{device_id}/data"
handler = "handlers:steady"
qos = 1
workers = 2
[routes.orders]
topic = "orders"
handler = "handlers:failing"
shared = false
[[traffic]]
topic = "sensors/{int:1..5}/data"
rate = 20
payload = {}
[[traffic]]
topic = "orders"
rate = 2
payload = {}
"""

Step = tuple[str, str, str]
"""Ids of the keys that are tried, what is pressed (with a * as often as it takes), and what is on the screen
then and was not before."""

STEPS: tuple[Step, ...] = (
    ("back", "Escape", "!New here"),
    ("move.down", "j", r"Logs sensors/1 "),
    ("move.up", "k", r"Logs sensors \("),
    ("move.bottom", "G", r"Logs orders/1 "),
    ("move.top", "g", r"Logs everything"),
    ("move.page_down", "C-d", r"Logs orders/1 "),
    ("move.page_up", "C-u", r"Logs everything"),
    ("move.down", "Down", r"Logs sensors \("),
    ("move.left", "h", r"▸ sensors"),
    ("move.right", "l", r"▾ sensors"),
    ("fold", "Space", r"▸ sensors"),
    ("open", "Enter", r"▾ sensors"),
    # panes
    ("zoom", "3 z", f"!{TABLE}"),
    ("zoom", "z", TABLE),
    ("pane.routes", "1 j", r"Logs sensors/1 "),
    ("open", "Enter", f"!{TABLE}"),
    ("span", "i", r"10 min"),
    ("span", "i", r"1 h\s*$"),
    ("back", "i Escape", TABLE),
    ("pane.detail", "1 2 z", "WIDE!Logs "),
    ("pane.routes", "z 1 k", r"Logs sensors \("),
    ("pane.previous", "BTab k", r"paused"),
    ("pane.next", "Tab j", r"Logs sensors/1 "),
    ("pane.logs", "3 f", r"!paused"),
    ("pane.routes", "1 k", r"Logs sensors \("),
    # the table
    ("sort.next", ">", rf"{HEADING}▼p95"),
    ("sort.reverse", "o", rf"{HEADING}▲p95"),
    ("sort.previous", "<", rf"{HEADING}▼err"),
    ("sort.previous", "*<", rf"!{HEADING}[▲▼]"),
    ("find", "F", r"Routes:"),
    ("find", "orders Enter", r"!▾ sensors"),
    ("back", "Escape", r"▾ sensors"),
    ("columns", "C", r"Space"),
    ("columns", "Escape", r"!Space"),
    # workers
    ("move.top", "g j", r"Logs sensors \("),
    ("add", "+", r"▾ sensors +● 3/3 up"),
    ("drain-one", "-", r"▾ sensors +● 2/2 up"),
    ("exact", "S", r"Workers of sensors"),
    ("exact", "3 Enter", r"▾ sensors +● 3/3 up"),
    ("autoscale", "A", r"⇅"),
    ("autoscale", "A", r"!⇅"),
    ("pause", "p", r"▾ sensors +\S+ paused"),
    ("pause", "p", r"▾ sensors +● 3/3 up"),
    ("rolling", "R", r"all workers restarted"),
    ("move.down", "j", r"Logs sensors/1 "),
    ("restart", "r", r"\(start 3\)"),
    ("kill", "X", r"\(start 4\)"),
    ("start", "s", r"needs no start"),
    ("drain", "x", r"▾ sensors +● 2/2 up"),
    # logs
    ("move.top", "g j j", r"Logs sensors/"),
    ("filter", "/", r"Filter:"),
    ("filter", "cold Enter", r"/cold"),
    ("follow", "f", r"paused"),
    ("follow", "f", r"● follow"),
    ("filter", "/ C-u Enter", r"!/cold"),
    ("search", "C-f", r"Search:"),
    ("search", "device Enter", r"paused"),
    ("follow", "f", r"!paused"),
    ("search.previous", "N", r"paused"),
    ("follow", "f", r"!paused"),
    ("search.next", "n", r"paused"),
    ("follow", "f", r"!paused"),
    ("level", "L", r"≥info"),
    ("level", "L L L", r"level all"),
    ("wrap", "w", r"wrap"),
    ("wrap", "w", r"!wrap"),
    ("time", "t", r"\ds( ago)? +(I|INFO|D|DEBUG) "),
    ("time", "t t", r"\d\d:\d\d:\d\d"),
    ("mark", "m", r"◆"),
    ("mark.next", "'", r"paused"),
    ("select copy", "3 v k y", r"Copied 2 lines"),
    ("export", "E", r"Export \d+ lines to:"),
    ("back", "Escape", r"!Export"),
    ("jump", "J", r"Go to:"),
    ("jump", "2s Enter", r"!Go to:"),
    ("follow", "f", r"!paused"),
    ("split", "|", r"Kept sensors"),
    ("unsplit", "\\", r"!Kept"),
    # errors and messages
    ("move.bottom", "1 G", r"Logs orders/1 "),
    ("error.previous", "3 [", r"paused"),
    ("follow", "f", r"!paused"),
    ("error.next", "]", r"paused"),
    ("follow", "f", r"!paused"),
    ("errors", "1 e", r"^ Errors "),
    ("back", "Escape", TABLE),
    ("messages", "4", r"^ Messages "),
    ("tap", "T", r"every message"),
    ("back", "Escape", TABLE),
    ("tap", "T", r"no longer tapped"),
    ("letters", "d", r"^ Dead letters "),
    ("back", "Escape", TABLE),
    ("publish", "P", r"Publish:"),
    ("back", "Escape", r"!Publish:"),
    ("clear", "c", r"cleared: only"),
    # the program
    ("palette", ":", r"🔎"),
    ("palette", "Escape", r"!🔎"),
    ("help", "?", r"dim keys cannot be used"),
    ("help", "Escape", r"!dim keys"),
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "routemq.toml").write_text(PROJECT)
    (tmp_path / "handlers.py").write_text(HANDLERS)
    return tmp_path


def press(tmux: Tmux, size: tuple[int, int], step: Step) -> None:
    _, pressed, expected = step
    if expected.startswith("WIDE"):
        if size[0] < NARROW:
            return
        expected = expected.removeprefix("WIDE")
    if pressed.startswith("*"):
        press_until(tmux, pressed[1:], expected)
        return
    *before, last = pressed.split()
    tmux.keys(*before)
    if not before:
        assert not is_on(tmux.screen, expected), f"{step} says nothing: it is so already"
    tmux.keys(last)
    tmux.wait_for_match(expected)


def press_until(tmux: Tmux, key: str, expected: str) -> None:
    """Once or a few times: how often depends on the columns there are."""
    for _ in range(9):
        before = tmux.screen
        tmux.keys(key)
        wait_until(lambda before=before: tmux.screen.split("\n")[2] != before.split("\n")[2])  # type: ignore[misc]
        if is_on(tmux.screen, expected):
            return
    raise AssertionError(f"{expected!r} is never so in:\n{tmux.screen}")


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("size", "leave"), [((80, 24), "q"), ((120, 36), "Q"), ((200, 50), "q")], ids=str)
def test_every_key_does_what_it_says(project: Path, size: tuple[int, int], leave: str) -> None:
    with terminal(project) as tmux:
        tmux.start(f"PYTHONPATH={ROOT} {sys.executable} -m routemq_tui", project, *size)
        tmux.wait_for_match(r"● 2/2 up")
        tmux.wait_for_match(r"New here")
        for step in STEPS:
            press(tmux, size, step)
        pid = tmux.pid
        tmux.keys(leave)
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), what="the program has ended")


def test_no_key_is_left_out() -> None:
    tried = {id for ids, _, _ in STEPS for id in ids.split()}
    assert {key.id for key in KEYS} - tried == {"quit", "quit-now"}
