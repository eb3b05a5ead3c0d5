"""Dead letters published again: each to its topic, out of the store once the broker has acknowledged it."""

from __future__ import annotations

from collections.abc import Iterable

from routemq_tui.errors import RoutemqError
from routemq_tui.publisher.client import PublishClient, PublishError, UnreachableError
from routemq_tui.worker.dead_letters import DeadLetter, DeadLetterStore, sent_properties

PATIENCE = 10.0
"""Seconds that a broker may take to acknowledge one."""
_LOSSES = 3
"""Letters in a row with which the connection may be lost: beyond, it is not the letters."""


class ReplayStoppedError(RoutemqError):
    """A replay came to an end before its last letter."""

    def __init__(self, error: RoutemqError, number: int, done: int) -> None:
        super().__init__(f"{error}; dead letter {number} stays, {counted(done)} replayed before it")
        self.exit_code = error.exit_code


def replay(store: DeadLetterStore, client: PublishClient, ids: Iterable[int]) -> tuple[list[int], list[str]]:
    """The ids that were replayed, and in words why the others were not.

    Raises ReplayStoppedError when the broker or the store fails; what was not acknowledged then stays.
    """
    done: list[int] = []
    failed: list[str] = []
    losses = 0
    for number in ids:
        try:
            try:
                fault = _replay_one(store, client, number)
                losses = 0
            except UnreachableError as error:
                losses += 1
                if losses == _LOSSES:
                    raise
                client.forget()
                client.connect()
                fault = f"stays: {error}, perhaps since the letter is larger than the broker takes"
        except RoutemqError as error:
            raise ReplayStoppedError(error, number, len(done)) from error
        if fault:
            failed.append(f"{number} {fault}")
        else:
            done.append(number)
    return done, failed


def _replay_one(store: DeadLetterStore, client: PublishClient, number: int) -> str:
    """Why it was not, or nothing."""
    letter = store.claim(number)
    if letter is None:
        return "is being replayed elsewhere, or gone"
    published = False
    try:
        fault = _publish(client, letter)
        published = not fault
    finally:
        if not published:
            store.release(number)
    if published:
        store.remove(ids=(number,))
    return fault


def _publish(client: PublishClient, letter: DeadLetter) -> str:
    before = (client.unmatched, sum(client.rejected.values()))
    try:
        # Not retained: it would take the place of a newer one.
        client.publish(letter.topic, letter.payload, max(letter.qos, 1), False, sent_properties(letter))
    except UnreachableError:
        raise
    except PublishError as error:
        return f"stays: {error}"
    client.drain(PATIENCE)
    if (client.unmatched, sum(client.rejected.values())) != before:
        return f"stays: the broker had no subscriber for {letter.topic}, or rejected it"
    return ""


def counted(number: int) -> str:
    return "1 dead letter" if number == 1 else f"{number} dead letters"
