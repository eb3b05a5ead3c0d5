"""`routemq-tui dead-letters` on a real store and a real broker."""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import tracemalloc
from pathlib import Path

import pytest

from routemq_tui.commands import dead_letters
from routemq_tui.errors import ExitCode
from routemq_tui.worker.dead_letters import DeadLetter, DeadLetterStore
from tests.cli.program import command, environment, run
from tests.conftest import Mosquitto
from tests.publisher.subscriber import subscribed
from tests.waiting import wait_until


@pytest.fixture
def letters(tmp_path: Path) -> list[int]:
    store = DeadLetterStore(tmp_path / ".routemq")
    ids = [
        store.add(
            DeadLetter(
                route=route,
                worker=f"{route}/1",
                topic=f"{route}/{number}",
                payload=b'{"n": %d}' % number,
                qos=1,
                error="ValueError: \x1b[2Jbad",
                traceback='Traceback\n  File "x.py", line 3',
                attempts=3,
                properties={
                    "content_type": "application/json",
                    "correlation_data": "AP8=",
                    "user_property": [["trace", "7"], ["trace", "8"]],
                },
            )
        )
        for number, route in enumerate(("orders", "orders", "alarms"))
    ]
    store.close()
    return ids


def left(folder: Path) -> int:
    store = DeadLetterStore(folder / ".routemq")
    try:
        return store.count()
    finally:
        store.close()


def test_list_show_and_export_are_plain_and_complete(letters: list[int], tmp_path: Path) -> None:
    listed = run("dead-letters", "list", "--route", "orders", cwd=tmp_path)
    shown = run("dead-letters", "show", str(letters[2]), cwd=tmp_path)
    exported = run("dead-letters", "export", cwd=tmp_path)

    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["id", "1", "2"]
    assert "\x1b" not in listed.stdout + shown.stdout
    assert "\\x1b[2Jbad" in listed.stdout
    assert 'File "x.py", line 3' in shown.stdout
    assert [json.loads(line)["topic"] for line in exported.stdout.splitlines()] == [
        "orders/0",
        "orders/1",
        "alarms/2",
    ]


def test_purge_wants_to_be_told_what(letters: list[int], tmp_path: Path) -> None:
    unsaid = run("dead-letters", "purge", cwd=tmp_path)
    assert (unsaid.returncode, left(tmp_path)) == (ExitCode.CONFIGURATION, 3)
    assert "--all" in unsaid.stderr

    assert "1 dead letter purged" in run("dead-letters", "purge", "--route", "alarms", cwd=tmp_path).stdout
    assert "2 dead letters purged" in run("dead-letters", "purge", "--all", cwd=tmp_path).stdout
    assert left(tmp_path) == 0


def test_an_unknown_id_is_named(letters: list[int], tmp_path: Path) -> None:
    done = run("dead-letters", "replay", "1", "99", cwd=tmp_path)
    assert done.returncode == ExitCode.CONFIGURATION
    assert "no dead letter 99" in done.stderr
    assert left(tmp_path) == 3


def test_a_replayed_letter_arrives_once_and_leaves(
    letters: list[int], mosquitto: Mosquitto, tmp_path: Path
) -> None:
    words = command("dead-letters", "replay", "--all", "--broker", f"mqtt://127.0.0.1:{mosquitto.port}")
    with subscribed(mosquitto.port) as got:
        # Two at the same time: each letter goes out once, by whichever of them claims it.
        replays = [
            subprocess.Popen(
                words,
                cwd=tmp_path,
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        for replay in replays:
            replay.communicate(timeout=30)
        wait_until(lambda: len(got) >= 3, what="all arrived")
    assert sorted(message.topic for message in got) == ["alarms/2", "orders/0", "orders/1"]
    # with what it came with
    properties = got[0].properties
    assert properties is not None
    assert (properties.ContentType, properties.CorrelationData) == ("application/json", b"\x00\xff")
    assert properties.UserProperty == [("trace", "7"), ("trace", "8")]
    assert left(tmp_path) == 0


def test_a_letter_nobody_would_get_stays(letters: list[int], mosquitto: Mosquitto, tmp_path: Path) -> None:
    url = f"mqtt://127.0.0.1:{mosquitto.port}"
    done = run("dead-letters", "replay", "1", "--broker", url, cwd=tmp_path)
    assert done.returncode != 0
    assert "no subscriber for orders/0" in done.stderr
    assert left(tmp_path) == 3


def test_without_a_broker_nothing_is_lost(letters: list[int], tmp_path: Path) -> None:
    done = run("dead-letters", "replay", "--all", "--broker", "mqtt://127.0.0.1:1", cwd=tmp_path)
    assert done.returncode == ExitCode.BROKER_UNAVAILABLE
    assert left(tmp_path) == 3


@pytest.mark.parametrize("verb", ["list", "replay", "export"])
def test_no_more_than_a_letter_is_held_in_memory(verb: str, mosquitto: Mosquitto, tmp_path: Path) -> None:
    # given letters that are large
    store = DeadLetterStore(tmp_path / ".routemq")
    for number in range(40):
        store.add(DeadLetter("r", "r/1", f"t/{number}", b"x" * 500_000, 1, "e", traceback="y" * 500_000))
    store.close()
    parser = argparse.ArgumentParser()
    dead_letters.add_arguments(parser)
    file = tmp_path / "routemq.toml"
    # MQTT 3.1.1 takes what nobody is subscribed to for published.
    file.write_text(f'[broker]\nurl = "mqtt://127.0.0.1:{mosquitto.port}"\nprotocol = "3.1.1"\n')
    arguments = parser.parse_args([verb, "-c", str(file), *(["--all"] if verb == "replay" else [])])
    # when something is done with all of them
    tracemalloc.start()
    try:
        with (tmp_path / "said").open("w") as out, contextlib.redirect_stdout(out):
            dead_letters.run(arguments)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # then memory holds a few at a time
    assert peak < 10_000_000
    said = (tmp_path / "said").read_text().splitlines()
    if verb == "replay":
        assert said == ["40 of 40 dead letters replayed"]
    else:
        assert [f"t/{number}" in line for number, line in enumerate(said[-40:])] == [True] * 40
