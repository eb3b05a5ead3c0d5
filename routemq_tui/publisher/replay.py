"""Dead letters published again: each to its topic, out of the store once the broker has acknowledged it."""

from __future__ import annotations

from collections.abc import Iterable

from routemq_tui.errors import RoutemqError
from routemq_tui.publisher.client import PublishClient
from routemq_tui.worker.dead_letters import DeadLetterStore, sent_properties

PATIENCE = 10.0
"""Seconds that a broker may take to acknowledge one."""


def replay(store: DeadLetterStore, client: PublishClient, ids: Iterable[int]) -> tuple[list[int], list[str]]:
    """The ids that were replayed, and in words why the others were not.

    Raises RoutemqError when the broker or the store fails; what was not acknowledged then stays.
    """
    done, failed = [], []
    for number in ids:
        letter = store.claim(number)
        if letter is None:
            failed.append(f"{number} is being replayed elsewhere, or gone")
            continue
        try:
            before = (client.unmatched, sum(client.rejected.values()))
            # Not retained: it would take the place of a newer one.
            client.publish(letter.topic, letter.payload, max(letter.qos, 1), False, sent_properties(letter))
            client.drain(PATIENCE)
        except RoutemqError:
            store.release(number)
            raise
        if (client.unmatched, sum(client.rejected.values())) != before:
            store.release(number)
            failed.append(f"{number} stays: the broker had no subscriber for {letter.topic}, or rejected it")
            continue
        store.remove(ids=(number,))
        done.append(number)
    return done, failed


def counted(number: int) -> str:
    return "1 dead letter" if number == 1 else f"{number} dead letters"
