"""Commands that take their time, done beside the workers: replay and purge dead letters, publish a message.

One after the other, on a thread of their own; each is answered by a notice. What speaks MQTT is imported when
it is first needed: most engines never do, and all of them should start at once.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from routemq_tui.engine.commands import ErrandCommand, PurgeLetters, Reload, ReplayLetters, SaveCounts
from routemq_tui.engine.commands import Publish as PublishCommand
from routemq_tui.engine.journal import Journal
from routemq_tui.engine.letter_desk import LetterDesk
from routemq_tui.errors import RoutemqError
from routemq_tui.worker.dead_letters import DeadLetterStore
from routemq_tui.worker.spec import BrokerAddress

if TYPE_CHECKING:
    from routemq_tui.publisher.client import PublishClient

_AT_ONCE = 500
"""Ids in a statement for the store."""


class Errands:
    """`broker` gives the address of the broker while there is one; `save` keeps the counts and says
    how, `reload` reads the configuration."""

    def __init__(
        self,
        folder: Path,
        journal: Journal,
        letters: LetterDesk,
        broker: Callable[[], BrokerAddress | None],
        save: Callable[[], str],
        reload: Callable[[], None],
    ) -> None:
        self._folder, self._journal, self._letters, self._broker = folder, journal, letters, broker
        self._save, self._reload = save, reload
        self._waiting: queue.SimpleQueue[ErrandCommand | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def send(self, command: ErrandCommand) -> None:
        """Returns at once."""
        self._waiting.put(command)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="routemq-errands", daemon=True)
            self._thread.start()

    def stop(self, timeout: float = 1.0) -> None:
        """What is under way ends with the letter it is at; what waits is not done."""
        self._stopping.set()
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join(timeout)

    def _run(self) -> None:
        while (command := self._waiting.get()) is not None and not self._stopping.is_set():
            try:
                self._do(command)
            except RoutemqError as error:
                self._journal.notice("error", f"{_WHAT[type(command)]}: {error}")
            except Exception as error:  # noqa: BLE001 - a mistake of ours: it is in the log, and the next may do
                self._journal.failure(_WHAT[type(command)], error)

    def _do(self, command: ErrandCommand) -> None:
        if isinstance(command, PublishCommand):
            self._publish(command)
        elif isinstance(command, SaveCounts):
            self._journal.notice("information", self._save())
        elif isinstance(command, Reload):
            self._reload()
        elif isinstance(command, ReplayLetters):
            self._replay(command.ids)
        else:
            self._purge(command.ids)

    def _connected(self, name: str) -> PublishClient:
        from routemq_tui.publisher.client import PublishClient, UnreachableError

        address = self._broker()
        if address is None:
            raise UnreachableError("the broker does not run")
        client = PublishClient(address, name)
        client.connect()
        return client

    def _publish(self, command: PublishCommand) -> None:
        from routemq_tui.publisher.replay import PATIENCE

        with closing(self._connected("publish")) as client:
            client.publish(command.topic, command.payload, command.qos, command.retain)
            client.drain(PATIENCE)
        if client.rejected:
            text = f"the broker rejected the message to {command.topic}: {', '.join(client.rejected)}"
            self._journal.notice("error", text)
            return
        text = f"published {len(command.payload)} bytes to {command.topic} at QoS {command.qos}"
        if client.unmatched:
            self._journal.notice("warning", f"{text}; nobody is subscribed to it")
        else:
            self._journal.notice("information", text)

    def _replay(self, ids: tuple[int, ...]) -> None:
        from routemq_tui.publisher.replay import counted, replay

        done: list[int] = []
        failed: list[str] = []
        with (
            closing(DeadLetterStore(self._folder)) as store,
            closing(self._connected("replay")) as client,
        ):
            for some in _portions(ids):
                with self._letters.taking(store, some, "replayed"):
                    wanted = takewhile(lambda _: not self._stopping.is_set(), some)
                    now_done, now_failed = replay(store, client, wanted)
                done += now_done
                failed += now_failed
        if failed:
            more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
            text = f"{len(done)} of {counted(len(ids))} replayed; {'; '.join(failed[:3])}{more}"
            self._journal.notice("warning", text)
        else:
            topics = "its topic" if len(done) == 1 else "their topics"
            self._journal.notice("information", f"{counted(len(done))} replayed to {topics}")

    def _purge(self, ids: tuple[int, ...]) -> None:
        from routemq_tui.publisher.replay import counted

        gone = 0
        with closing(DeadLetterStore(self._folder)) as store:
            for some in _portions(ids):
                with self._letters.taking(store, some, "purged"):
                    gone += store.remove(ids=some)
        self._journal.notice("information", f"{counted(gone)} purged")


_WHAT: dict[type, str] = {
    ReplayLetters: "dead letters are not all replayed",
    PurgeLetters: "dead letters are not all purged",
    PublishCommand: "the message is not published",
    SaveCounts: "the worker counts are not saved",
    Reload: "not reloaded",
}


def _portions(ids: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """None for no ids: without any, the store would take them all."""
    for first in range(0, len(ids), _AT_ONCE):
        yield ids[first : first + _AT_ONCE]
