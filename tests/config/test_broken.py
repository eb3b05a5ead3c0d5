# ruff: noqa: E501
"""Configurations people get wrong: each is told with its exact line, and the program exits with 2.

The messages are kept whole here, each in the form a user sees.
"""

from __future__ import annotations

import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import NamedTuple

import pytest

from routemq_tui.commands import check
from routemq_tui.errors import ExitCode
from tests.config.project import ROUTE, write, write_handlers


class Broken(NamedTuple):
    text: str
    said: str
    """The whole of a line told, without the file's name."""


TEMPERATURE = ROUTE.lstrip("\n")
"""Lines 1 to 3; what a case adds begins on line 4."""
COUNT = "allowed: a whole number from 1 to 1000"
POLICY = "group, qos, shared, workers, min_workers, max_workers, autoscale, prefetch, concurrency, timeout"

CASES = {
    "wrong type": Broken(
        TEMPERATURE + "workers = true\n", f"4: routes.temperature.workers: found true ({COUNT})"
    ),
    "quoted number": Broken(
        TEMPERATURE + 'workers = "3"\n',
        f'4: routes.temperature.workers: found the text "3": write the number without quotes ({COUNT})',
    ),
    "fraction of a worker": Broken(
        TEMPERATURE + "workers = 1.5\n", f"4: routes.temperature.workers: found the number 1.5 ({COUNT})"
    ),
    "negative": Broken(
        TEMPERATURE + "workers = -3\n", f"4: routes.temperature.workers: found the number -3 ({COUNT})"
    ),
    "unknown key": Broken(
        TEMPERATURE + "\n# more\nworker = 3\n",
        f'6: routes.temperature.worker: unknown key (did you mean "workers"? allowed: topic, handler, {POLICY}, '
        "retries, retry_delay, max_deliveries, dead_letter_topic, fast_path, middleware, on_start, on_stop, on_error, limits, scaling)",
    ),
    "unknown section": Broken(
        "[route.temperature]\n",
        '1: route: unknown section (did you mean "routes"? allowed: app, broker, defaults, routes, traffic, http, ui)',
    ),
    "bad template": Broken(
        TEMPERATURE.replace("{device_id}", "{device_id"),
        '2: routes.temperature.topic: found the text "sensors/{device_id/temperature": a parameter takes a whole '
        "level, as in a/{name}/b; a brace in a literal is doubled (at column 9) "
        '(allowed: a topic template such as "sensors/{device_id}/data")',
    ),
    "wildcard inside": Broken(
        TEMPERATURE.replace("{device_id}", "#"),
        '2: routes.temperature.topic: found the text "sensors/#/temperature": # stands alone, as the last level '
        '(at column 9) (allowed: a topic template such as "sensors/{device_id}/data")',
    ),
    "no topic": Broken(
        '[routes.t]\nhandler = "checked.sensors:waits"\n',
        '1: routes.t.topic: is missing (allowed: a topic template such as "sensors/{device_id}/data")',
    ),
    "no handler": Broken(
        '# mine\n[routes.t]\ntopic = "a"\n',
        '2: routes.t.handler: is missing (allowed: "module:function", such as "routes.sensors:temperature")',
    ),
    "handler as a path": Broken(
        '[routes.t]\ntopic = "a"\nhandler = "checked/sensors.py:waits"\n',
        '3: routes.t.handler: found the text "checked/sensors.py:waits": a module is written with dots: '
        '"checked.sensors:waits" (allowed: "module:function", such as "routes.sensors:temperature")',
    ),
    "handler not in the module": Broken(
        '[routes.t]\ntopic = "a"\nhandler = "checked.sensors:wait"\n',
        "3: routes.t.handler: the module 'checked.sensors' has no 'wait' (checked/sensors.py) "
        '(did you mean "waits"?)',
    ),
    "handler's module raises": Broken(
        '[routes.t]\ntopic = "a"\nhandler = "checked.raises:f"\n',
        "3: routes.t.handler: RuntimeError: no database (checked/raises.py:2)",
    ),
    "parameter without a meaning": Broken(
        TEMPERATURE.replace(":temperature", ":needs_more"),
        "3: routes.temperature.handler: nothing is known for the parameter 'humidity' (checked/sensors.py:9) "
        "(the template has device_id; there are also payload, message, client)",
    ),
    "sync handler with concurrency": Broken(
        TEMPERATURE + "concurrency = 4\n",
        "4: routes.temperature.concurrency: found 4 with a handler that is not async (checked/sensors.py:1) "
        "(it handles one message at a time: add workers, or write it as async def)",
    ),
    "not shared with workers": Broken(
        TEMPERATURE + "shared = false\nworkers = 3\n",
        "5: routes.temperature.workers: found 3 with shared = false (a route that is not shared has one worker, "
        "since several would each get every message and order is its point: remove shared = false, or workers)",
    ),
    "more workers than the most": Broken(
        TEMPERATURE + "max_workers = 2\nworkers = 3\n",
        "5: routes.temperature.workers: found 3, which is above max_workers 2",
    ),
    "autoscale of a route that is not shared": Broken(
        TEMPERATURE + "shared = false\nautoscale = true\n",
        "5: routes.temperature.autoscale: found true with shared = false (a route that is not shared has exactly "
        "one worker, so that order is kept)",
    ),
    "autoscale down to none": Broken(
        TEMPERATURE + "min_workers = 0\nautoscale = true\n",
        "4: routes.temperature.min_workers: found 0 with autoscale = true (without a worker nothing would be seen "
        "that asks for one: at least 1)",
    ),
    "autoscale without room": Broken(
        TEMPERATURE + "workers = 4\nmin_workers = 4\nmax_workers = 4\nautoscale = true\n",
        "7: routes.temperature.autoscale: there is nothing to scale: min_workers and max_workers are both 4 "
        "(set max_workers above min_workers)",
    ),
    "a target that is never passed": Broken(
        TEMPERATURE + "[routes.temperature.scaling]\ntarget = 0.9\nband = 0.1\n",
        "6: routes.temperature.scaling.band: target 0.9 and band 0.1 together are not below 1 "
        "(no worker is busier than all of the time: none would be added)",
    ),
    "a cool-down shorter than an interval": Broken(
        TEMPERATURE + '[routes.temperature.scaling]\ninterval = "30s"\ncooldown = "10s"\n',
        "6: routes.temperature.scaling.cooldown: cooldown 10 s is shorter than the interval of 30 s "
        "(what a change did is not known before)",
    ),
    "a cool-down shorter than that for more": Broken(
        TEMPERATURE + '[routes.temperature.scaling]\ncooldown_up = "5m"\n',
        "5: routes.temperature.scaling.cooldown_up: cooldown 120 s is shorter than cooldown_up 300 s "
        "(workers are added sooner than taken away)",
    ),
    "an unknown policy": Broken(
        TEMPERATURE + '[routes.temperature.scaling]\npolicy = "utilization"\n',
        '5: routes.temperature.scaling.policy: found the text "utilization" (did you mean "utilisation"? allowed: '
        '"utilisation", "rate")',
    ),
    "an unknown key of scaling": Broken(
        '[defaults.scaling]\ncool_down = "10s"\n' + TEMPERATURE,
        '2: defaults.scaling.cool_down: unknown key (did you mean "cooldown"? allowed: policy, target, band, '
        "per_worker, interval, cooldown_up, cooldown, step, drain)",
    ),
    "bounds crossed": Broken(
        TEMPERATURE + "min_workers = 9\nmax_workers = 3\n",
        "4: routes.temperature.min_workers: min_workers 9 is above max_workers 3",
    ),
    "quality of service": Broken(
        TEMPERATURE + "qos = 3\n",
        "4: routes.temperature.qos: found the number 3 (allowed: a whole number from 0 to 2)",
    ),
    "misspelt word": Broken(
        TEMPERATURE + 'on_error = "deadletter"\n',
        '4: routes.temperature.on_error: found the text "deadletter" (did you mean "dead-letter"? '
        'allowed: "dead-letter", "drop", "stop")',
    ),
    "retry delay": Broken(
        TEMPERATURE + 'retry_delay = "1m"\n',
        '4: routes.temperature.retry_delay: found the text "1m" '
        '(allowed: a duration such as "500ms", "30s" or "2m", from 0 s to 30.0s)',
    ),
    "deliveries": Broken(
        TEMPERATURE + "max_deliveries = 0\n",
        f"4: routes.temperature.max_deliveries: found the number 0 ({COUNT})",
    ),
    "dead letters to a wildcard": Broken(
        TEMPERATURE + 'dead_letter_topic = "dead/#"\n',
        '4: routes.temperature.dead_letter_topic: found the text "dead/#": wildcards (+ and #) are not allowed '
        "in a topic that is published to (allowed: a topic without wildcards)",
    ),
    "dead letters that come back": Broken(
        TEMPERATURE + 'dead_letter_topic = "sensors/dead/temperature"\n',
        "4: routes.temperature.dead_letter_topic: found 'sensors/dead/temperature', which the route's own topic "
        "matches: its letters would come back (name a topic outside of it)",
    ),
    "duration": Broken(
        TEMPERATURE + 'timeout = "5 minutes"\n',
        '4: routes.temperature.timeout: found the text "5 minutes": a duration is written as "500ms", "30s", '
        '"2m", "1h" or "1d" (allowed: a duration such as "500ms", "30s" or "2m", from 0.001 s to 7d00h)',
    ),
    "size": Broken(
        TEMPERATURE + 'limits.memory = "1 elephant"\n',
        '4: routes.temperature.limits.memory: found the text "1 elephant": a size is written as "512MB", "1GiB" '
        'or a number of bytes (allowed: a size such as "512MB" or "1GiB", at least 16MB)',
    ),
    "group": Broken(
        '[app]\ngroup = "a/b"\n',
        '2: app.group: found the text "a/b": a share name holds no /, + or # '
        "(allowed: a share name: up to 64 characters without spaces, /, + and #)",
    ),
    "route name": Broken(
        '[routes."a b"]\n',
        '1: routes."a b": found the text "a b": it holds something else, or is too long '
        "(allowed: up to 64 letters, digits, _ and -)",
    ),
    "url without scheme": Broken(
        '[broker]\nurl = "localhost:1883"\n',
        '2: broker.url: found the text "localhost:1883": did you mean "mqtt://localhost:1883"? '
        '(allowed: "embedded", "mosquitto", "mqtt://HOST[:PORT]", "mqtts://…", "ws://HOST[:PORT][/PATH]" or "wss://…")',
    ),
    "url with a bad port": Broken(
        '[broker]\nurl = "mqtt://host:70000"\n',
        '2: broker.url: found the text "mqtt://host:70000": the port is no number from 1 to 65535 '
        '(allowed: "embedded", "mosquitto", "mqtt://HOST[:PORT]", "mqtts://…", "ws://HOST[:PORT][/PATH]" or "wss://…")',
    ),
    "url with a password": Broken(
        '[broker]\nurl = "mqtt://me:hidden@host"\n',
        '2: broker.url: found the text "mqtt://me:***@host": a password does not belong here: use MQTT_PASSWORD '
        'or broker.password_file (allowed: "embedded", "mosquitto", "mqtt://HOST[:PORT]", "mqtts://…", "ws://HOST[:PORT][/PATH]" or "wss://…")',
    ),
    "password in the file": Broken(
        '[broker]\npassword = "hidden"\n',
        "2: broker.password: is not allowed here "
        "(keep it out of this file: set MQTT_PASSWORD (also in .env) or password_file)",
    ),
    "password file missing": Broken(
        '[broker]\n\npassword_file = "nowhere"\n',
        "3: broker.password_file: found 'nowhere': there is no such file (name a readable file)",
    ),
    "section as a value": Broken(
        "defaults = 3\n", "1: defaults: found the number 3 (write it as [defaults])"
    ),
    "traffic as a table": Broken(
        "[traffic]\nrate = 3\n", "1: traffic: found a table (write it as [[traffic]], once for each)"
    ),
    "second traffic": Broken(
        '[[traffic]]\ntopic = "a"\n[[traffic]]\ntopic = "b"\nrate = 0\n',
        "5: traffic[2].rate: found the number 0 (allowed: a number above 0, at most 1000000)",
    ),
    "not TOML": Broken("[app]\ngroup = workers\n", "2: not TOML: Invalid value: group = workers"),
    "table twice": Broken("[app]\n[app]\n", "2: not TOML: Cannot declare ('app',) twice: [app]"),
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_handlers(tmp_path)
    monkeypatch.chdir(tmp_path)
    for variable in ("MQTT_BROKER", "MQTT_PORT", "MQTT_PASSWORD", "WORKER_COUNT"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def run_check(*words: str) -> int:
    parser = ArgumentParser()
    check.add_arguments(parser)
    return check.run(parser.parse_args(words))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
@pytest.mark.usefixtures("fresh_imports")
def test_the_exact_line_is_told(project: Path, capsys: pytest.CaptureFixture[str], case: Broken) -> None:
    write(project, case.text)
    assert run_check() == ExitCode.CONFIGURATION
    told = capsys.readouterr().err.splitlines()
    assert told == [f"routemq.toml:{case.said}"]


def test_the_program_tells_all_of_them_at_once_and_exits_with_2(project: Path) -> None:
    # given one file with several of these mistakes
    names = ("group", "quoted number", "url with a bad port", "second traffic")
    text = "".join(CASES[name].text for name in names)
    write(project, text)
    # when the real program checks it
    done = subprocess.run(
        [sys.executable, "-m", "routemq_tui", "check"],
        cwd=project,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=30,
    )
    # then each is told with its line in this file, and there is no traceback
    lines, before = [], 0
    for name in names:
        line, _, rest = CASES[name].said.partition(":")
        lines.append(f"routemq.toml:{int(line) + before}:{rest}")
        before += CASES[name].text.count("\n")
    assert done.returncode == 2
    assert done.stderr.splitlines() == lines
    assert done.stdout == ""
