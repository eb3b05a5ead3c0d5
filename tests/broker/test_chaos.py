"""A share group whose members are killed, drained, taken over and slow: every message is done, none lost."""

from __future__ import annotations

import random

import pytest

from routemq_tui.broker.handle import EmbeddedBroker
from tests.broker.conftest import Connect
from tests.broker.raw import PUBACK, Published, RawClient
from tests.waiting import wait_until

MESSAGES = 600


class Crew:
    """Members that come and go by a seeded script; keeps what was acknowledged and what was sent before."""

    def __init__(self, connect: Connect, group: str, seed: int) -> None:
        self.random = random.Random(seed)
        self.connect, self.group = connect, group
        self.members: dict[str, RawClient] = {}
        self.unfinished: dict[str, list[Published]] = {}
        self.done: list[int] = []
        self.seen: set[int] = set()
        self.unmarked: list[int] = []

    def arrive(self, name: str) -> None:
        """Connect, or take the own connection over, with a session that stays or does not."""
        kept = name < "c"
        old = self.members.pop(name, None)
        client = self.connect(
            f"{self.group}-{name}", clean=not kept, expiry=60 * kept, window=self.random.choice((1, 4, 9))
        )
        if old is not None:
            old.close()
        self.members[name], self.unfinished[name] = client, []
        client.send_subscribe(f"$share/{self.group}/{self.group}", 1)

    def kill(self, name: str) -> None:
        self.members.pop(name).close()

    def work(self, name: str, wait: float = 0.0) -> bool:
        """Read one packet and acknowledge the oldest one in hand, mostly."""
        client = self.members[name]
        try:
            first, body = client.read(wait or 0.001)
        except TimeoutError:
            return False
        if first >> 4 == 3:
            message = client.parse(first, body)
            number = int(message.payload)
            if number in self.seen and not message.dup:
                self.unmarked.append(number)
            self.seen.add(number)
            self.unfinished[name].append(message)
        if self.random.random() < 0.8 or wait:
            self.finish(name)
        return True

    def finish(self, name: str, everything: bool = False) -> None:
        in_hand = self.unfinished[name]
        while in_hand:
            message = in_hand.pop(0)
            self.members[name].answer(0x40, message.packet_id)
            self.done.append(int(message.payload))
            if not everything:
                return


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_is_lost_whatever_the_members_do(connect: Connect, broker: EmbeddedBroker, seed: int) -> None:
    name = f"chaos-{seed}"
    crew, publisher = Crew(connect, name, seed), connect()
    crew.arrive("a")
    for number in range(MESSAGES):
        publisher.publish(name, str(number).encode(), 1, number + 1)
        assert publisher.expect(PUBACK)[2:] == b""
        who = crew.random.choice("abcd")
        chance = crew.random.random()
        if chance < 0.04 or who not in crew.members:
            crew.arrive(who)
        elif chance < 0.08 and len(crew.members) > 1:
            crew.kill(who)
        else:
            crew.work(who)
    for member in list(crew.members):
        crew.finish(member, everything=True)

    def drained() -> bool:
        for member in list(crew.members):
            while crew.work(member):
                crew.finish(member, everything=True)
        group = next(one for one in broker.inspect()["groups"] if one["group"] == name)
        return bool(group["unfinished"] == 0)

    wait_until(drained, 10, "every message is acknowledged")
    assert set(crew.done) == set(range(MESSAGES))
    assert not crew.unmarked, "what may have been handled before is marked DUP"
    group = next(one for one in broker.inspect()["groups"] if one["group"] == name)
    assert group["returned"] > 20, "the script has to make work for the broker"
    assert (group["accepted"], group["dropped"], group["queued"]) == (MESSAGES, 0, 0)
