"""The screen under load: resized in a real terminal under a flood, many workers, lines meant to break it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len

from routemq_tui.engine.log_store import LogStore
from routemq_tui.tui.rows import RowKey
from tests.fakes.flood import crowd
from tests.tui.conftest import Seat, Sit
from tests.tui.tmux import Tmux, terminal
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
PROGRAM = """
import asyncio, signal, sys, traceback
from pathlib import Path
from routemq_tui.tui.app import RouteMQApp
from tests.fakes.flood import FloodEngine
report = Path(sys.argv[1])
engine = FloodEngine(50_000)
engine.stops_when_asked()
app = RouteMQApp(engine, tick=0.05)
def rest():
    engine.stop()
    app.set_timer(0.5, write)
def write():
    size = app.size
    rows = [row.text.rstrip() for row in app.screen._compositor.render_strips()]
    part = report.with_suffix(".part")
    part.write_text("\\n".join([f"{size.width}x{size.height}", *rows]))
    part.rename(report)
def begin():
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, rest)
    engine.start()
    report.with_suffix(".ready").touch()
app.call_later(begin)
try:
    app.run()
finally:
    if app._exception is not None:
        report.with_suffix(".error").write_text("".join(traceback.format_exception(app._exception)))
"""


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    with terminal(tmp_path) as found:
        yield found


def start(tmux: Tmux, report: Path, width: int, height: int) -> None:
    """Run program.py beside the report."""
    program = report.with_name("program.py")
    tmux.start(f"PYTHONPATH={ROOT} {sys.executable} {program} {report}", ROOT, width, height)


def test_resizing_under_a_flood_leaves_no_stale_cell(tmux: Tmux, tmp_path: Path) -> None:
    # given the program in a terminal, with 50,000 lines a second
    report = tmp_path / "report"
    (tmp_path / "program.py").write_text(PROGRAM)
    start(tmux, report, 200, 50)
    wait_until(report.with_suffix(".ready").exists, what="the screen is there")
    tmux.wait_for("routemq  workers")
    pid = tmux.pid
    # when it is made small and large again, with keys in between
    for width, height in ((60, 15), (200, 50), (59, 14), (110, 20), (60, 15), (200, 50), (80, 24)):
        tmux.resize(width, height)
        tmux.run("send-keys", "j")
        drawn = "needs more room" if width < 60 or height < 15 else "routemq  workers"
        tmux.wait_for(drawn)
    subprocess.run(["kill", "-USR1", pid], check=True)
    wait_until(report.exists, what="the flood has ended")
    # then the terminal shows exactly what the program thinks it does
    size, *rows = report.read_text().split("\n")
    assert size == "80x24"
    shown = [row.rstrip() for row in tmux.run("capture-pane", "-p").split("\n")]
    assert shown[:24] == rows
    assert not report.with_suffix(".error").exists()


def test_a_copy_reaches_the_clipboard_of_a_terminal(tmux: Tmux, tmp_path: Path) -> None:
    report = tmp_path / "report"
    lines = "engine.store.add_text(engine._sources[0], 'copy me: käse 漢字 [bold]', 20, 'stdout')"
    (tmp_path / "program.py").write_text(PROGRAM.replace("    engine.start()\n", f"    {lines}\n"))
    start(tmux, report, 80, 24)
    tmux.run("set-option", "-g", "set-clipboard", "on")
    tmux.wait_for("copy me")
    tmux.run("send-keys", "3", "f", "y")
    tmux.wait_for("Copied")
    assert tmux.run("show-buffer") == "copy me: käse 漢字 [bold]"


def test_a_wrapped_line_is_copied_as_one(tmux: Tmux, tmp_path: Path) -> None:
    # given two long lines, wrapped
    report = tmp_path / "report"
    texts = [" ".join(f"{name}{number}" for number in range(40)) for name in ("one", "two")]
    lines = "; ".join(f"engine.store.add_text(engine._sources[0], '{text}', 20, 'log')" for text in texts)
    (tmp_path / "program.py").write_text(PROGRAM.replace("    engine.start()\n", f"    {lines}\n"))
    start(tmux, report, 80, 24)
    tmux.run("set-option", "-g", "set-clipboard", "on")
    tmux.wait_for("two0")
    tmux.keys("3", "w")
    tmux.wait_for("two39")
    # when both are selected with keys and copied
    tmux.keys("f", "v", "k", "y")
    tmux.wait_for("Copied")
    # then the clipboard has them as they were written
    assert tmux.run("show-buffer") == "\n".join(texts)


# Many workers


async def test_64_workers_in_40_routes_can_be_gone_through(sit: Sit) -> None:
    async with sit(crowd(), size=(80, 24)) as seat:
        table = seat.main.table
        assert len(table.rows) == 1 + 40 + 64
        await seat.press("G")
        assert table.selected == RowKey("route-39", 1)
        assert "route-39/1" in seat.text("#routes-table")
        # when all are folded, then the routes alone are left; the palette finds one by name
        await seat.press("g", "space")
        assert len(table.rows) == 41
        await seat.press("ctrl+p", *"23/2")
        await seat.app.workers.wait_for_complete()
        await seat.press("enter")
        await seat.pilot.pause()
        assert table.selected == RowKey("route-23", 2)
        assert "route-23/2" in seat.text("#routes-table")


# Lines that are meant to break it

MEAN = {
    "a mebibyte": "x" * 1024**2,
    "wide": "漢字" * 30_000,
    "combining": "e\u0301\u0323" * 20_000,
    "right to left": "עברית مرحبا " * 4_000,
    "emoji": "\U0001f469\u200d\U0001f680\U0001f3fd\u2764\ufe0f" * 10_000,
    "controls": "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0)])).replace("\n", "") * 500,
    "colours": "\x1b[31mred\x1b[0m \x1b[1;44mblue\x1b[m " * 3_000,
    "bidi": "\u202e\u2066txt.exe\u2028" * 4_000,
}


def shown_rows(seat: Seat) -> list[str]:
    region = seat.main.logs.region
    rows = seat.app.screen._compositor.render_strips()[region.y : region.bottom]
    return [row.crop(region.x, region.right).text for row in rows]


@pytest.mark.parametrize("wrap", [False, True], ids=["cut", "wrapped"])
async def test_mean_lines_keep_every_row_in_its_cells(sit: Sit, wrap: bool) -> None:
    store = LogStore(64 * 1024**2)
    async with sit(size=(120, 36)) as seat:
        for text in MEAN.values():
            store.add_text("temperature/1", text, 20, "stdout")
        seat.engine.logs.lines.clear()
        for line in store.read().lines:
            seat.engine.logs.add(line.source, line.text, line.time, ansi=line.ansi)
        await seat.tick()
        await seat.press("3", "z", *(["w"] if wrap else []))
        for _ in range(6):
            for row in shown_rows(seat):
                assert cell_len(row) == 120
                assert not any(ord(each) < 32 or 0x7F <= ord(each) < 0xA0 for each in row)
            await seat.press("pageup", "l")
