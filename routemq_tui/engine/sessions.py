"""The sessions our workers have at the broker, kept in `.routemq/<node>.slots.json`.

A session outlives its worker, and on some brokers goes on taking its share of the messages for nobody. So
each is written down before its first CONNECT and struck out when it was drained and ended; what an engine
that died left in the list is adopted by the next (`crew`).
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from routemq_tui.engine.instance_file import write_whole
from routemq_tui.engine.journal import Journal

VERSION = 1


class SessionEntry(msgspec.Struct, frozen=True):
    """One session."""

    route: str
    slot: int
    client_id: str
    subscription: str
    template: str
    handler: str
    qos: int
    broker: str
    """`host:port`, or `mosquitto` for the one the engine starts."""
    protocol: str
    met: bool = False
    """Whether the broker has ever accepted it; only then is there a session."""


class _Contents(msgspec.Struct):
    version: int
    sessions: list[SessionEntry]


class SessionList:
    """`home` names the broker; None is one whose sessions end with it, and nothing is written down then."""

    def __init__(self, path: Path, home: str | None, journal: Journal) -> None:
        self.home = home
        self._path = path
        self._journal = journal
        self._entries: dict[tuple[str, str], SessionEntry] = {}
        self._warned = False

    def load(self) -> list[SessionEntry]:
        """What the engine before us left, for every broker. Only the holder of the node's lock may."""
        try:
            contents = msgspec.json.decode(self._path.read_bytes(), type=_Contents)
        except FileNotFoundError:
            return []
        except (OSError, msgspec.DecodeError) as error:
            aside = self._path.with_suffix(".unreadable")
            self._journal.notice(
                "warning",
                f"{self._path} cannot be read ({error}); sessions that workers left at the broker are "
                f"not known. It is kept as {aside.name}",
            )
            if self._path.is_file():
                self._path.replace(aside)
            return []
        self._entries = {(each.broker, each.client_id): each for each in contents.sessions}
        return list(contents.sessions)

    def started(self, entry: SessionEntry) -> None:
        """A worker is about to connect under this client id."""
        known = self._entries.get((entry.broker, entry.client_id))
        if known is not None and known.met:
            entry = msgspec.structs.replace(entry, met=True)
        self._set(entry)

    def connected(self, client_id: str) -> None:
        known = self._entries.get((self.home or "", client_id))
        if known is not None and not known.met:
            self._set(msgspec.structs.replace(known, met=True))

    def ended(self, client_id: str) -> None:
        """The session was drained and is no more."""
        if self._entries.pop((self.home or "", client_id), None) is not None:
            self._write()

    def exists(self, client_id: str) -> bool:
        """Whether the broker may hold a session under this id."""
        known = self._entries.get((self.home or "", client_id))
        return known is not None and known.met

    def _set(self, entry: SessionEntry) -> None:
        key = (entry.broker, entry.client_id)
        if self._entries.get(key) != entry:
            self._entries[key] = entry
            self._write()

    def _write(self) -> None:
        if self.home is None:
            return
        contents = _Contents(
            VERSION, sorted(self._entries.values(), key=lambda each: (each.route, each.slot))
        )
        text = msgspec.json.format(msgspec.json.encode(contents), indent=1).decode() + "\n"
        try:
            write_whole(self._path, text)
        except OSError as error:
            if not self._warned:
                self._warned = True
                text = f"{self._path}: {error.strerror}; if the engine dies now, sessions may stay behind"
                self._journal.notice("warning", text)
