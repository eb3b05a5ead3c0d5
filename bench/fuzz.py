"""Bytes of a broker that nobody would send, found by coverage (atheris), for the packet stream of a worker.

`python bench/fuzz.py [--seconds N] [--corpus FOLDER] [--seed N]`. An input says the protocol, the limits and
where the stream is cut; what follows is the stream. The plain reference of the tests has to agree on every
packet and on the reason at the end, and nothing but the stream's own StreamError may come out of it. An input
that takes more than 5 s, or a process of more than 1 GiB, ends the run, as does the first difference: exit
code 1 or more. The input is then in the folder, and among the first tried with `--corpus FOLDER` again.
Wants the extras `bench` (atheris has wheels for Linux) and `test`.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import machine

HEADER = 4
"""Bytes of an input before the stream."""
LIMITS = (268_435_460, 5000, 300, 40)
SECONDS_EACH = 5


def seeds(seed: int) -> list[bytes]:
    """Good and bad packets, and streams of them, for either protocol."""
    from tests.worker.faults import FAULTS, FAULTS_3, REPLY_FAULTS, REPLY_FAULTS_3
    from tests.worker.streams import SNARES, field, publish, pubrel, reply

    good_5 = [
        publish("t/1", b"payload", 1, 7, block=b"\x26" + field("k") + field("v")),
        publish("t/1", b"payload" * 30, 2, 8, block=b"\x01\x01\x02\x00\x00\x00\x09\x0b\x85\x03\x0b\x01"),
        publish("t/2", b"", block=b"\x03" + field("json") + b"\x08" + field("r/1") + b"\x09" + field("x")),
        publish("t/2", b"", block=b"\x23\x00\x01") + publish("", b"x", block=b"\x23\x00\x01"),
        publish("t/1", b"x" * 200, 1, 9, dup=True, block=b"\x26" + field("k" * 100) + field("v" * 40)),
        pubrel(8, b"\x92\x04\x1f\x00\x01x"),
        reply(0x90, 7, b"\x00\x01\x02"),
        reply(0xB0, 8, b"\x04\x1f\x00\x01x\x11"),
        reply(0x40, 1) + reply(0x50, 2, b"\x10") + reply(0x70, 3, b"\x92\x00"),
        b"\x20\x06\x01\x00\x03\x21\x00\x14\xd0\x00\xe0\x02\x8e\x00",
    ]
    good_3 = [
        publish("t/1", b"payload", 1, 7, retain=True),
        publish("t/2", b"payload" * 30, 2, 8) + pubrel(8),
        publish("t/2") * 3,
        reply(0x90, 7, b"\x01\x80") + reply(0xB0, 8) + reply(0x40, 1) + b"\xd0\x00",
    ]
    chance = random.Random(seed)
    found = []
    bad_5, bad_3 = FAULTS | REPLY_FAULTS, FAULTS_3 | REPLY_FAULTS_3
    for v5, good, bad in ((1, good_5, bad_5), (0, good_3, bad_3)):
        streams = good + [each for _, each in bad.values() if len(each) < 1000]
        streams += [b"".join(chance.choices(streams, k=4)) for _ in range(40)]
        found += [bytes((v5 | 1 << 2, chance.randrange(9), 3, 0)) + stream for stream in streams]
    short = [(v5, stream) for v5, stream in SNARES.values() if len(stream) < 4000]
    return found + [bytes((v5 | 1 << 2, 250, 250, 1)) + stream for v5, stream in short]


class Target:
    """Give an input to the stream and to the reference, and compare."""

    def __init__(self, stream: Any, wire: Any) -> None:
        from tests.worker.reference_stream import Other, Publish, Reference, Release

        self._reference: Any = Reference
        self._kinds: Any = Publish, Release, Other
        self._stream, self._error = stream.PublishStream, wire.StreamError
        self._release = stream.PUBREL

    def __call__(self, data: bytes) -> None:
        if len(data) < HEADER:
            return
        flags, cut, cut_2, again = data[:HEADER]
        v5, limit, aliases = bool(flags & 1), LIMITS[flags >> 4 & 3], flags >> 2 & 3
        whole = data[HEADER:]
        stream = self._stream(v5, str, alias_maximum=aliases, maximum_packet=limit)
        expected = self._reference(v5, aliases, limit).read(whole)
        self._check(self._read(stream, whole, (cut + 1, cut_2 + 1)), expected)
        if again & 1:
            # Its caches are warm now, and a new connection has to see the same.
            stream.reset()
            self._check(self._read(stream, whole, (max(1, len(whole)),)), expected)

    def _read(self, stream: Any, whole: bytes, sizes: tuple[int, ...]) -> tuple[list[Any], int | None]:
        got: list[Any] = []
        at = turn = 0
        try:
            while at < len(whole):
                size = sizes[turn % len(sizes)]
                got += stream.feed(whole[at : at + size])
                at, turn = at + size, turn + 1
        except self._error as error:
            return [*map(self._plain, got), *map(self._plain, error.packets)], error.reason
        return [*map(self._plain, got)], None

    def _plain(self, packet: Any) -> Any:
        publish, release, other = self._kinds
        first, topic, payload, packet_id, properties = packet
        if first == self._release:
            return release(packet_id)
        if first >> 4 != 3:
            return other(payload)
        flags = first >> 1 & 3, bool(first & 1), bool(first & 8)
        return publish(topic, payload, *flags, packet_id, dict(properties))

    def _check(self, got: tuple[list[Any], int | None], expected: tuple[list[Any], int | None]) -> None:
        if got != expected:
            raise AssertionError(f"the stream gave {got}\nthe reference {expected}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, help="a folder that keeps what was found from run to run")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    try:
        atheris: Any = importlib.import_module("atheris")
    except ImportError:
        sys.exit("atheris is not installed: pip install -e '.[bench,test]' (it has wheels for Linux)")
    folder = arguments.corpus or Path(tempfile.mkdtemp(prefix="routemq-fuzz-"))
    folder.mkdir(parents=True, exist_ok=True)
    for number, each in enumerate(seeds(arguments.seed)):
        (folder / f"seed-{number:03}").write_bytes(each)
    with atheris.instrument_imports(include=["routemq_tui.worker"]):
        from routemq_tui.worker import publish_stream, wire
    print(f"{machine()}; atheris, {arguments.seconds} s, corpus in {folder}", flush=True)
    options = [
        f"-max_total_time={arguments.seconds}",
        f"-seed={arguments.seed}",
        f"-timeout={SECONDS_EACH}",
        "-rss_limit_mb=1024",
        "-max_len=4096",
        "-len_control=20",
        "-print_final_stats=1",
        f"-artifact_prefix={folder}/",
    ]
    atheris.Setup([sys.argv[0], *options, str(folder)], Target(publish_stream, wire))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
