"""`routemq-tui publish` against real brokers."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from routemq_tui.broker.handle import EmbeddedBroker
from routemq_tui.commands.broker_address import running_broker
from routemq_tui.errors import ExitCode
from tests.cli.program import command, environment, run
from tests.conftest import Mosquitto
from tests.publisher.subscriber import subscribed
from tests.waiting import free_port, wait_until


def url(broker: Mosquitto) -> str:
    return f"mqtt://127.0.0.1:{broker.port}"


def test_json_is_published_as_it_is_written(mosquitto: Mosquitto, tmp_path: Path) -> None:
    with subscribed(mosquitto.port) as got:
        done = run("publish", "a/b", '{"celsius": {"in": 21}}', "--broker", url(mosquitto), cwd=tmp_path)
        wait_until(lambda: got, what="the message arrived")
    assert done.returncode == 0, done.stderr
    assert (got[0].topic, got[0].payload, got[0].qos) == ("a/b", b'{"celsius": {"in": 21}}', 1)
    assert done.stdout.startswith("published 1 message to a/b at 127.0.0.1:")
    assert "all acknowledged" in done.stdout


def test_count_rate_qos_and_placeholders(mosquitto: Mosquitto, tmp_path: Path) -> None:
    words = ["s/{int:1..3}", '{"n": {seq}}', "-n", "40", "--rate", "100", "-q", "2", "-r"]
    with subscribed(mosquitto.port) as got:
        done = run("publish", *words, "--broker", url(mosquitto), cwd=tmp_path)
        wait_until(lambda: len(got) == 40, what="all arrived")
    assert done.returncode == 0, done.stderr
    assert [json.loads(message.payload)["n"] for message in got] == list(range(1, 41))
    assert {message.topic for message in got} == {"s/1", "s/2", "s/3"}
    rate = float(done.stdout.partition("(")[2].partition("/s)")[0])
    assert 60 <= rate <= 105, "39 gaps of 10 ms"


@pytest.mark.parametrize(
    ("words", "stdin", "expected"),
    [
        (["-"], "one {seq}\ntwo", [b"one {seq}\ntwo"]),
        (["-", "--lines"], "one\n\ntwo\r\n", [b"one", b"", b"two"]),
        (["-f", "data"], "", [b"\x00\xff{seq}\n"]),
        (["-f", "data", "-n", "2"], "", [b"\x00\xff{seq}\n"] * 2),
        ([], "", [b""]),
    ],
)
def test_payloads_from_stdin_and_files_are_left_as_they_are(
    words: list[str], stdin: str, expected: list[bytes], mosquitto: Mosquitto, tmp_path: Path
) -> None:
    (tmp_path / "data").write_bytes(b"\x00\xff{seq}\n")
    with subscribed(mosquitto.port) as got:
        done = run("publish", "t", *words, "--broker", url(mosquitto), cwd=tmp_path, stdin=stdin)
        wait_until(lambda: len(got) == len(expected), what="all arrived")
    assert done.returncode == 0, done.stderr
    assert [message.payload for message in got] == expected


@pytest.fixture
def embedded() -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker.start(0)
    yield broker
    broker.stop(5)


@pytest.mark.parametrize("rate", [(), ("--rate", "4")])
def test_lines_that_come_after_a_quiet_time_are_published_too(
    rate: tuple[str, ...], embedded: EmbeddedBroker, tmp_path: Path
) -> None:
    # given a broker that lets nobody be silent for longer than one and a half seconds
    address = f"mqtt://127.0.0.1:{embedded.port}"
    (tmp_path / "routemq.toml").write_text(f'[broker]\nurl = "{address}"\nkeepalive = 1\n')
    with (
        subscribed(embedded.port) as got,
        subprocess.Popen(
            command("publish", "t", "-", "--lines", "-n", "6", *rate),
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        ) as process,
    ):
        assert process.stdin is not None
        try:
            process.stdin.write("one\r\ntw")
            process.stdin.flush()
            wait_until(lambda: got, what="the first one arrived")
            # when nothing comes for three times as long
            time.sleep(4)
            process.stdin.write("o\nthree\n4\n5\n6\n")
            process.stdin.flush()
            start = time.monotonic()
            # then the rest is published, at its rate, and the count ends it: the pipe is open still
            assert process.wait(10) == 0
            took = time.monotonic() - start
        finally:
            process.kill()
        wait_until(lambda: len(got) == 6, what="all arrived")
    assert [message.payload for message in got] == [b"one", b"two", b"three", b"4", b"5", b"6"]
    assert took > 0.9 or not rate


def test_the_configured_broker_is_used_and_messages_without_a_reader_are_told(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    (tmp_path / "routemq.toml").write_text(f'[broker]\nurl = "{url(mosquitto)}"\n')
    done = run("publish", "nobody/listens", "x", "-n", "3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "published 3 messages" in done.stdout
    assert "3 had no subscriber" in done.stdout


def test_the_running_engines_embedded_broker_is_found(tmp_path: Path) -> None:
    (tmp_path / "routemq.toml").write_text("")
    (tmp_path / ".routemq").mkdir()
    broker = EmbeddedBroker.start(free_port())
    try:
        state = {"pid": os.getpid(), "broker": f"{broker.host}:{broker.port}"}
        (tmp_path / ".routemq" / "local.json").write_text(json.dumps(state))
        with subscribed(broker.port) as got:
            done = run("publish", "t", "hello", cwd=tmp_path)
            wait_until(lambda: got, what="the message arrived")
        assert done.returncode == 0, done.stderr
        assert got[0].payload == b"hello"
    finally:
        broker.stop(5)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"pid": 4194399, "broker": "127.0.0.1:5"}'])
def test_a_state_file_that_says_nothing_of_use_is_passed_over(text: str, tmp_path: Path) -> None:
    (tmp_path / ".routemq").mkdir()
    (tmp_path / ".routemq" / "local.json").write_text(text)
    assert running_broker(tmp_path, "local") is None


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["a/+", "x"], ExitCode.CONFIGURATION, "a topic to publish to cannot hold '+'"),
        (["a", "{int:z}"], ExitCode.CONFIGURATION, '{int:z}: "z" is not a range of integers'),
        ([os.fsdecode(b"a\xff"), "x"], ExitCode.CONFIGURATION, r"a topic must be UTF-8, found 'a\udcff'"),
        (["a", "x", "--lines"], ExitCode.CONFIGURATION, "--lines needs --file"),
        (["a", "x", "-f", "y"], ExitCode.CONFIGURATION, "PAYLOAD or --file, not both"),
        (["a", "-f", "absent"], ExitCode.CONFIGURATION, "absent: cannot be read: No such file"),
        (["a", "-n", "0"], ExitCode.CONFIGURATION, "a number from 1"),
        (["a", "--rate", "-1"], ExitCode.CONFIGURATION, "messages a second, above 0"),
        (["a", "--broker", "mqt://h"], ExitCode.CONFIGURATION, "unknown scheme"),
        (["a", "-c", "absent.toml"], ExitCode.CONFIGURATION, "absent.toml"),
        (
            ["a", "--broker", "mqtt://127.0.0.1:1"],
            ExitCode.BROKER_UNAVAILABLE,
            "127.0.0.1:1: Connection refused",
        ),
    ],
)
def test_what_cannot_be_is_told_with_its_code(
    words: list[str], code: ExitCode, told: str, tmp_path: Path
) -> None:
    done = run("publish", *words, cwd=tmp_path)
    assert done.returncode == code
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_bytes_that_are_no_text_are_sent_as_they_are(mosquitto: Mosquitto, tmp_path: Path) -> None:
    with subscribed(mosquitto.port) as got:
        done = run("publish", "a", os.fsdecode(b"\xff\xfe"), "--broker", url(mosquitto), cwd=tmp_path)
        assert done.returncode == ExitCode.OK, done.stderr
        wait_until(lambda: got)
    assert got[0].payload == b"\xff\xfe"


@pytest.mark.mosquitto
@pytest.mark.parametrize(
    ("protocol", "code", "told"),
    [
        ("5", ExitCode.BROKER_REFUSED, "a packet of 5007 bytes is larger than the broker takes (2000)"),
        ("3.1.1", ExitCode.BROKER_UNAVAILABLE, "hangs up on what is too large for it"),
    ],
)
def test_a_file_that_is_too_large_for_the_broker(
    protocol: str, code: ExitCode, told: str, tmp_path: Path
) -> None:
    broker = Mosquitto(tmp_path, "max_packet_size 2000")
    broker.start()
    (tmp_path / "large").write_bytes(b"x" * 4997)
    (tmp_path / "routemq.toml").write_text(f'[broker]\nurl = "{url(broker)}"\nprotocol = "{protocol}"\n')
    try:
        done = run("publish", "ab", "-f", "large", cwd=tmp_path)
    finally:
        broker.stop(kill=True)
    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr


@pytest.mark.mosquitto
def test_refused_credentials(tmp_path: Path) -> None:
    (tmp_path / "passwords").write_text("")
    broker = Mosquitto(tmp_path, f"password_file {tmp_path}/passwords")
    broker.start()
    try:
        done = run(
            "publish", "a", "--broker", url(broker), cwd=tmp_path, MQTT_USERNAME="u", MQTT_PASSWORD="secret"
        )
    finally:
        broker.stop(kill=True)
    assert done.returncode == ExitCode.BROKER_REFUSED
    assert "refused the connection" in done.stderr
    assert "secret" not in done.stderr


def test_without_a_running_engine_its_broker_is_not_taken_for_a_strangers(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    # given a stranger's broker at the port that the embedded one would have
    (tmp_path / "routemq.toml").write_text(f"[broker]\nport = {mosquitto.port}\n")
    with subscribed(mosquitto.port) as got:
        done = run("publish", "a", "x", cwd=tmp_path)
    assert done.returncode == ExitCode.BROKER_UNAVAILABLE
    assert "the embedded broker runs with routemq-tui, and none runs in" in done.stderr
    assert not got
