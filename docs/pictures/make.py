"""Make the pictures of the README: the real screen over a real engine with the example routes, in a minute.

    .venv/bin/python docs/pictures/make.py

The figures are those of this run, so a picture differs each time; look at each before it is kept.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from textual.pilot import Pilot

from routemq_tui.commands.starter import CONFIG_NAME, starter_files, write_files
from routemq_tui.config.load import load
from routemq_tui.config.model import UiConfig
from routemq_tui.engine.commands import SetTap, Stop
from routemq_tui.engine.engine import Engine
from routemq_tui.tui.app import RouteMQApp
from routemq_tui.tui.rows import RowKey
from routemq_tui.tui.screens.main import MainScreen

HERE = Path(__file__).parent
WARM_UP = 40.0
"""Seconds until the curves have something to show."""
AFTER_SCALING = 18.0
"""Seconds after which the effect of a mark is known."""
FONT_FACES = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
"""They name files on somebody's server; any monospaced font will do."""

SHOWN_FOLDER = "/home/dev/sensors-and-more"
"""Instead of that of the run, and as long: a place of its own for every character."""

Act = Callable[[Pilot[int], MainScreen], Awaitable[None]]


async def press(pilot: Pilot[int], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await pilot.pause(0.05)


async def main_screen(pilot: Pilot[int], main: MainScreen) -> None:
    main.table.select(RowKey("temperature"))
    await press(pilot, "plus")
    await asyncio.sleep(AFTER_SCALING)


async def side_by_side(pilot: Pilot[int], main: MainScreen) -> None:
    main.table.select(RowKey("temperature", 1))
    await press(pilot, "vertical_line")
    main.table.select(RowKey("orders", 1))
    await press(pilot, "3", "left_square_bracket", "enter")


async def messages(pilot: Pilot[int], main: MainScreen) -> None:
    await press(pilot, "backslash", "f", "1")
    main.table.select(RowKey("position"))
    await press(pilot, "4")
    await asyncio.sleep(1)
    await press(pilot, "j", "j", "j")


async def errors(pilot: Pilot[int], main: MainScreen) -> None:
    await press(pilot, "escape", "e")
    await asyncio.sleep(0.5)


async def after_a_kill(pilot: Pilot[int], main: MainScreen) -> None:
    """What was in hand at a kill, and what became of it."""
    await press(pilot, "escape")
    main.table.select(RowKey("position", 1))
    while not (worker := main.table.row) or not worker.metrics.in_flight > 2:  # a burst, every ten seconds
        await asyncio.sleep(0.05)
    await press(pilot, "X")
    await asyncio.sleep(8)
    await press(pilot, "2", "z")


PICTURES: dict[str, Act] = {
    "main": main_screen,
    "logs": side_by_side,
    "messages": messages,
    "errors": errors,
    "kill": after_a_kill,
}


async def take_all(engine: Engine, folder: str) -> None:
    app = RouteMQApp(engine, theme="routemq-dark", ui=UiConfig(remember=False))
    async with app.run_test(size=(132, 36)) as pilot:
        main = app.screen
        assert isinstance(main, MainScreen)
        for route in engine.snapshot().routes:
            engine.send(SetTap(route.name, True))
        await asyncio.sleep(WARM_UP)
        for name, act in PICTURES.items():
            await act(pilot, main)
            await pilot.pause()
            svg = FONT_FACES.sub("", app.export_screenshot(title=f"routemq-tui: {name}", simplify=True))
            svg = svg.replace(folder, SHOWN_FOLDER[: len(folder)].ljust(len(folder), "_"))
            (HERE / f"{name}.svg").write_text(svg, encoding="utf-8")
            print(HERE / f"{name}.svg")


def make() -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), starter_files())
        engine = Engine(load(Path(folder) / CONFIG_NAME))
        engine.start()  # before the screen: the fork server must not inherit a replaced stderr
        try:
            asyncio.run(take_all(engine, folder))
        finally:
            engine.send(Stop())
            engine.wait(10)


if __name__ == "__main__":
    make()
