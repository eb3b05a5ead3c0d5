"""The project's dead letters as a front end asks for them: looks into the store, from any thread."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from routemq_tui.engine.journal import Journal
from routemq_tui.engine.letters import Letter, LetterLine
from routemq_tui.worker.dead_letters import DeadLetterStore, Heading, StoreUnavailableError

COUNT_EVERY = 1.0
_TAKEN_KEPT = 100
_PATIENCE = 0.2
"""Seconds to wait for a lock: a screen asks."""


class LetterDesk:
    """Implements `port.LetterReader`. A store that cannot be read is told once, and empty."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self._folder, self._journal = folder, journal
        self._lock = threading.Lock()
        self._count, self._counted_at = 0, float("-inf")
        self._taken: deque[LetterLine] = deque(maxlen=_TAKEN_KEPT)
        self._fault = ""

    # -- asked -------------------------------------------------------------------------------------------

    def count(self) -> int:
        with self._lock:
            now = time.monotonic()
            if now - self._counted_at >= COUNT_EVERY:
                self._counted_at = now
                try:
                    with closing(self._look()) as store:
                        self._count = store.count()
                    self._fault = ""
                except StoreUnavailableError as error:
                    self._tell(error)
            return self._count

    def read(self, after: int = 0, limit: int = 200, route: str | None = None) -> tuple[LetterLine, ...]:
        try:
            with closing(self._look()) as store:
                lines = [_line_of(each) for each in store.headings(route, after=after, limit=limit)]
        except StoreUnavailableError as error:
            self._tell(error)
            return ()
        stored = {each.id for each in lines}
        with self._lock:
            gone = [each for each in self._taken if each.id not in stored]
        lines += [each for each in gone if each.id > after and route in (None, each.route)]
        return tuple(sorted(lines, key=lambda each: each.id, reverse=True)[:limit])

    def get(self, id: int) -> Letter | None:
        try:
            with closing(self._look()) as store:
                headings = store.headings(ids=(id,))
                letters = list(store.read(ids=(id,)))
        except StoreUnavailableError as error:
            self._tell(error)
            return None
        if not (headings and letters):
            return None
        (letter,) = letters
        return Letter(
            _line_of(headings[0]),
            letter.payload,
            letter.qos,
            letter.retain,
            letter.properties,
            letter.traceback,
        )

    # -- told --------------------------------------------------------------------------------------------

    @contextmanager
    def taking(self, store: DeadLetterStore, ids: tuple[int, ...], state: str) -> Iterator[None]:
        """What of these is gone from the store afterwards was `replayed` or `purged` here."""
        before = [_line_of(each) for each in store.headings(ids=ids)]
        try:
            yield
        finally:
            left = {each.letter.id for each in store.headings(ids=ids)}
            with self._lock:
                self._taken.extend(replace(each, state=state) for each in before if each.id not in left)
                self._counted_at = float("-inf")

    def _look(self) -> DeadLetterStore:
        store = DeadLetterStore(self._folder, read_only=True)
        store.patience = _PATIENCE
        return store

    def _tell(self, error: StoreUnavailableError) -> None:
        fault, self._fault = self._fault, str(error)
        if fault != self._fault:
            self._journal.notice("warning", f"cannot look into the dead letters: {error}")


def _line_of(heading: Heading) -> LetterLine:
    letter = heading.letter
    return LetterLine(
        id=letter.id,
        time=letter.time,
        route=letter.route,
        worker=letter.worker,
        topic=letter.topic,
        cause=letter.cause,
        error=letter.error,
        attempts=letter.attempts,
        state="replaying" if heading.claimed else "stored",
        size=heading.size,
    )
