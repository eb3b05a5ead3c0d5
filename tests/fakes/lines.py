"""Log lines: the usual ones, and those that would break a careless screen."""

from __future__ import annotations

from tests.fakes.engine import FakeLogs
from tests.fakes.snapshots import NOW

HOSTILE = (
    "markup [bold red]not bold[/] [link=http://example.net]not a link[/link] [/]",
    "control \x1b[2J\x1b[H\x07\x00\x9b31m clear screen, bell, NUL, C1",
    "two\nlines\r\tand a tab",
    "override \u202e txt.exe \u2066 isolate \u2028 separator",
    "emoji \U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f680 wide 漢字テスト end",
    "zalgo " + "e\u0301\u0323\u0302" * 12 + " end",
    "עברית مرحبا end",
    "half a pair \ud800 end",
    "long " + "x" * 5_000,
)


def usual(logs: FakeLogs, count: int = 40) -> None:
    """Lines of all workers of the busy snapshot in turn, and what the engine says in between."""
    sources = ("temperature/1", "temperature/2", "temperature/3", "alerts/1", "orders/1")
    for number in range(count):
        source = sources[number % len(sources)]
        time = NOW - count + number + number / 1000
        if number % 9 == 8:
            logs.add(source, f"retrying device {number}: timed out after 2 s", time, level=30)
        elif number % 13 == 12:
            logs.add(source, f"ValueError: payload {number} has no field 'level'", time, level=40)
        elif number % 7 == 6:
            text = "stored reading"
            logs.add(source, text, time, ansi="\x1b[32mstored\x1b[0m \x1b[1;36mreading\x1b[0m", level=20)
        else:
            logs.add(source, f"device {number % 4} reads {20 + number / 10:.1f} °C", time)
        if number % 11 == 10:
            logs.add(source, "worker restarted: exit 1", time, level=20, stream="event", logger="")


def hostile(logs: FakeLogs) -> None:
    for number, text in enumerate(HOSTILE):
        logs.add("temperature/1", text, NOW - 60 + number, level=20)
    logs.add("temperature/2", "red then blink", NOW, ansi="\x1b[31mred\x1b[0m then \x1b[5;8mblink\x1b[0m")
    logs.add("temperature/2", "cursor", NOW, ansi="\x1b]0;title\x07\x1b[3;3Hcursor")


TRACEBACK = (
    "Traceback (most recent call last):",
    '  File "routes/sensors.py", line 12, in temperature',
    "    return float(reading)",
    "           ^^^^^^^^^^^^^^",
    "ValueError: could not convert string to float: 'warm'",
)


def failure(logs: FakeLogs, source: str = "temperature/1", time: float = NOW) -> int:
    """A record with a traceback; returns the `seq` of its first line."""
    head = logs.add(source, "gave up sensors/7/temperature after 3 attempts", time, level=40)
    for text in TRACEBACK:
        logs.add(source, text, time, level=40, continued=True)
    return head.seq
