"""`routemq-tui web`: who gets in, and the screen in a real browser."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from routemq_tui.commands import web
from routemq_tui.errors import ExitCode
from tests.cli.chromium import Page, browser, needs_chromium
from tests.cli.program import command, environment, run
from tests.waiting import free_port, wait_until

textual_serve = pytest.importorskip("textual_serve", reason="textual-serve is not installed")

ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/\?token=\S+")
STARTED = "document.body !== null && document.body.classList.contains('-first-byte')"


def test_without_textual_serve_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(web.MissingPackageError, match=r"pip install 'routemq-tui\[web\]'"):
        web.run(argparse_namespace())


def argparse_namespace() -> Any:
    import argparse

    parser = argparse.ArgumentParser()
    web.add_arguments(parser)
    return parser.parse_args([])


@contextmanager
def project_served(folder: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """The starter project under `web`; what it prints goes to a file."""
    if not (folder / "routemq.toml").exists():
        assert run("init", cwd=folder).returncode == 0
        text = (folder / "routemq.toml").read_text()
        (folder / "routemq.toml").write_text(text.replace("[broker]", f"[broker]\nport = {free_port()}"))
    output = folder / "output.txt"
    with output.open("w") as file:
        process = subprocess.Popen(
            command("web", "--port", "0", *words),
            cwd=folder,
            stdout=file,
            stderr=file,
            text=True,
            env=environment(),
            start_new_session=True,  # a group of its own, which Ctrl-C is sent to
        )
    try:
        yield process, output
    finally:
        process.kill()
        process.wait()


def address_in(output: Path) -> str:
    def last() -> str:
        found = list(ADDRESS.finditer(output.read_text()))
        return found[-1][0] if found else ""

    return wait_until(last, timeout=20, what="the address is printed")


def snapshot(folder: Path) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(run("ctl", "snapshot", "--json", cwd=folder).stdout)
    return answer


def screens(process: subprocess.Popen[str]) -> list[psutil.Process]:
    below = psutil.Process(process.pid).children(recursive=True)
    return [each for each in below if "routemq_tui.web.screen" in each.cmdline()]


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    assert run("init", cwd=tmp_path).returncode == 0
    with project_at_port() as port:
        ended = run("web", "--port", str(port), cwd=tmp_path)
    assert ended.returncode == ExitCode.CONFIGURATION
    assert f"port {port} of 127.0.0.1: " in ended.stderr
    assert "--port 0" in ended.stderr
    assert "Traceback" not in ended.stderr


@contextmanager
def project_at_port() -> Iterator[int]:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


@needs_chromium
async def test_the_screen_in_a_browser(tmp_path: Path) -> None:
    # given
    project = tmp_path / "project"
    project.mkdir()
    with project_served(project) as (process, output):
        address = address_in(output)
        async with browser(tmp_path) as page:
            # when the address is opened, then the screen is there and the token is gone from the address
            await page.go(address)
            await page.wait_for(STARTED)
            assert "token" not in await page.value("location.href")
            before = snapshot(project)
            # when keys are pressed, without a click first, then the engine does what they say
            await page.wait_for("document.activeElement.className === 'xterm-helper-textarea'")
            await page.type("+")
            wanted = before["desired"] + 1
            wait_until(lambda: snapshot(project)["desired"] == wanted, what="a worker was added")
            # when the page is loaded anew, then it is the same engine
            await page.call("Page.reload")
            await page.wait_for(STARTED)
            assert snapshot(project)["pid"] == before["pid"] == process.pid
            assert snapshot(project)["desired"] == wanted
            await look_at(page, tmp_path)
            # when it is left with q, then the engine goes on
            await page.wait_for("document.activeElement.className === 'xterm-helper-textarea'")
            await page.type("q")
            await page.wait_for("document.body.classList.contains('-closed')")
            assert snapshot(project)["state"] == "running"
            # when the address is used again, then it is refused
            await page.call("Network.clearBrowserCookies")
            await page.go(address)
            await page.wait_for("document.body.textContent.includes('has been used')")
        wait_until(lambda: not screens(process), what="no screen is left")
        # when the command is ended, then the engine is drained
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert "draining the workers" in output.read_text()
    assert "Traceback" not in output.read_text()


SLOW = """
[app]
shutdown_timeout = 4

[broker]
port = {port}

[http]
listen = "127.0.0.1:{http}"

[routes.slow]
topic = "slow/{{n}}"
handler = "handlers:slow"
workers = {workers}

[[traffic]]
topic = "slow/1"
rate = 5
"""


class Slow:
    """A project whose one message at a time takes three seconds, and so does the drain."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.http, self.broker = folder, free_port(), free_port()
        self.write(1)
        (folder / "handlers.py").write_text("import time\ndef slow(n):\n    time.sleep(3)\n")

    def write(self, workers: int) -> None:
        text = SLOW.format(port=self.broker, http=self.http, workers=workers)
        (self.folder / "routemq.toml").write_text(text)


@asynccontextmanager
async def screen_open(address: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A browser's side of one screen, once it has drawn something."""
    base = address.partition("/?")[0]
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        await (await session.get(address)).release()
        async with session.ws_connect(f"{base}/ws?width=80&height=24", origin=base) as websocket:
            await websocket.receive_bytes(timeout=20)
            yield websocket


async def test_after_ctrl_c_an_open_screen_shows_how_the_engine_ends(tmp_path: Path) -> None:
    slow = Slow(tmp_path)
    with project_served(slow.folder) as (process, output):
        async with screen_open(address_in(output)) as websocket:
            await asyncio.to_thread(
                wait_until, lambda: snapshot(slow.folder)["routes"][0]["in_flight"], 20, "it is busy"
            )
            (screen,) = screens(process)
            # when the terminal sends Ctrl-C to its group
            os.killpg(process.pid, signal.SIGINT)
            # then the screen tells of the end, and goes with the engine
            drawn = b""
            while not (message := await websocket.receive(timeout=20)).type & aiohttp.WSMsgType.CLOSE:
                drawn += message.data if message.type is aiohttp.WSMsgType.BINARY else b""
                if b"raining" in drawn:
                    break
            assert b"raining" in drawn
            assert screen.is_running()
            assert process.poll() is None
            while (await websocket.receive(timeout=20)).type is aiohttp.WSMsgType.BINARY:
                pass
        assert await asyncio.to_thread(process.wait, 20) == 0
        assert not screen.is_running()
    assert "Traceback" not in output.read_text()


async def test_a_screen_ends_when_its_server_is_killed(tmp_path: Path) -> None:
    slow = Slow(tmp_path)
    with project_served(slow.folder) as (process, output):
        async with screen_open(address_in(output)):
            (screen,) = screens(process)
            process.kill()
            await asyncio.to_thread(wait_until, lambda: not screen.is_running(), 15, "the screen has ended")


def test_it_reloads_and_answers_probes_as_run_does(tmp_path: Path) -> None:
    slow = Slow(tmp_path)
    with project_served(slow.folder) as (_, output):
        address_in(output)
        with urllib.request.urlopen(f"http://127.0.0.1:{slow.http}/healthz", timeout=10) as answer:
            assert answer.read() == b"alive\n"
        slow.write(2)
        told = run("ctl", "reload", cwd=slow.folder)
        assert "reloaded: slow 1 -> 2 workers" in told.stdout, told.stderr


async def look_at(page: Page, folder: Path) -> None:
    """Something was drawn: a picture of one colour compresses to almost nothing."""
    await page.picture(folder / "screen.png")
    assert (folder / "screen.png").stat().st_size > 30_000


@needs_chromium
async def test_a_page_that_is_open_when_the_command_ends_says_so(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    with project_served(project, "--read-only") as (process, output):
        async with browser(tmp_path) as page:
            await page.go(address_in(output))
            await page.wait_for(STARTED)
            before = snapshot(project)["desired"]
            await page.wait_for("document.activeElement.className === 'xterm-helper-textarea'")
            await page.type("+")
            process.send_signal(signal.SIGTERM)
            await page.wait_for("document.body.classList.contains('-closed')")
        assert process.wait(20) == 0
    told = output.read_text()
    assert before == 7
    assert "Traceback" not in told
