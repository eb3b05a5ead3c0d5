"""The palette: every key of the table by name, every row to go to, and the themes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple, Protocol, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

from routemq_tui.tui.keys import KEYS
from routemq_tui.tui.rows import RowKey
from routemq_tui.tui.screens.main import MainScreen
from routemq_tui.tui.theme import THEME_WORDS

IN_HELP = 0.05
"""The score of an entry that has the query only in its explanation: after all others."""


class Entry(NamedTuple):
    name: str
    help: str
    run: Callable[[], None]


class Program(Protocol):
    """The app, which this module cannot import."""

    def choose_theme(self, name: str) -> None: ...

    def save_counts(self) -> None: ...

    def reload(self) -> None: ...


class KeyCommands(Provider):
    async def startup(self) -> None:
        # While somebody chooses, the selected route may go, and another row be selected for it.
        self._meant = cast(MainScreen, self.screen).table.selected

    async def discover(self) -> Hits:
        for entry in self._entries():
            yield DiscoveryHit(entry.name, entry.run, help=entry.help)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for entry in [*self._entries(), *self._places()]:
            score = matcher.match(entry.name) or (IN_HELP if query.lower() in entry.help.lower() else 0)
            if score > 0:
                yield Hit(score, matcher.highlight(entry.name), entry.run, help=entry.help)

    def _entries(self) -> Iterator[Entry]:
        screen = cast(MainScreen, self.screen)
        for key in KEYS:
            if key.palette:
                refusal = screen.refusal(key)
                words = screen.fill(f"Not now: {refusal}") if refusal else screen.help_of(key)
                name = f"{key.label}  ({screen.display_of(key)})"
                yield Entry(_plain(name), _plain(words), partial(screen.press_key, key, self._meant))
        saves = "Keep the routes' numbers of workers for the next start, in routemq.local.toml"
        yield Entry("Save worker counts", saves, cast(Program, self.app).save_counts)
        reads = "Apply what has changed in routemq.toml since the start"
        yield Entry("Reload the configuration", reads, cast(Program, self.app).reload)
        for theme in THEME_WORDS:
            now = " (now)" if self.app.theme == theme.theme.name else ""
            yield Entry(f"Theme: {theme.name}{now}", theme.help, partial(self._set_theme, theme.theme.name))

    def _places(self) -> Iterator[Entry]:
        screen = cast(MainScreen, self.screen)
        for row in screen.all_rows():
            yield Entry(_plain(f"Go to {row.key.label}"), "Select it", partial(self._go_to, row.key))

    def _go_to(self, key: RowKey) -> None:
        cast(MainScreen, self.screen).select(key)

    def _set_theme(self, name: str) -> None:
        cast(Program, self.app).choose_theme(name)


def _plain(text: str) -> str:
    """Text for a place that reads markup."""
    return text.replace("[", "\\[")
