"""Keys of the screens that lie over the main one, by place. Like `keys`, data that needs no screen.

A key that means the same as on the main screen has its id, so that one setting moves it everywhere.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from routemq_tui.tui.keys import KEY_BY_ID, KEYS


class Place(StrEnum):
    """A screen, whose keys must differ from each other."""

    MAIN = "the main screen"
    HELP = "the help"
    CONFIRM = "a question"
    PROMPT = "a prompt"
    COLUMNS = "the choice of columns"
    STOPPING = "the last screen"
    LINE = "a line of the log"
    RECORDS = "errors, messages and dead letters"


class PlacedKey(NamedTuple):
    id: str
    keys: str
    """As in `keys.Key`."""
    action: str
    label: str
    kept: str = ""


def _same_as_main(*ids: str) -> tuple[PlacedKey, ...]:
    found = (KEY_BY_ID[each] for each in ids)
    return tuple(PlacedKey(key.id, key.keys, key.action, key.label, key.kept) for key in found)


_SCROLLING = ("move.up", "move.down", "move.page_up", "move.page_down", "move.top", "move.bottom")
_LEAVING = "escape,ctrl+c"

PLACED_KEYS: dict[Place, tuple[PlacedKey, ...]] = {
    Place.MAIN: _same_as_main(*(key.id for key in KEYS)),
    Place.HELP: (
        PlacedKey("help.close", "escape,q,question_mark,ctrl+c", "dismiss", "Close", _LEAVING),
        *_same_as_main(*_SCROLLING),
        PlacedKey("help.page", "space", "move('page_down')", "Page down"),
    ),
    Place.CONFIRM: (
        PlacedKey("confirm.yes", "y", "answer(True)", "Yes"),
        PlacedKey("confirm.no", "n,escape,q,ctrl+c", "answer(False)", "No", _LEAVING),
        PlacedKey("confirm.other", "left,h,right,l", "app.focus_next", "Other answer"),
    ),
    Place.PROMPT: (PlacedKey("prompt.cancel", _LEAVING, "cancel", "Cancel", _LEAVING),),
    Place.COLUMNS: (
        PlacedKey("columns.close", "escape,enter,q,C", "dismiss", "Close", "escape"),
        PlacedKey("columns.up", "up,k", "move(-1)", "Up"),
        PlacedKey("columns.down", "down,j", "move(1)", "Down"),
        PlacedKey("columns.tick", "space", "tick", "Tick"),
        PlacedKey("columns.all", "a", "all", "All"),
    ),
    Place.LINE: (
        *_same_as_main(*_SCROLLING),
        PlacedKey("line.close", "escape,enter,q,ctrl+c", "close", "Close", "escape"),
        PlacedKey("line.copy", "y", "copy", "Copy"),
        PlacedKey("line.messages", "4", "go('messages')", "Its message"),
        PlacedKey("line.errors", "e", "go('errors')", "Its error"),
    ),
    Place.RECORDS: (
        *_same_as_main(*_SCROLLING),
        PlacedKey("records.back", "escape,q,ctrl+c", "back", "Back", "escape"),
        PlacedKey("records.open", "enter", "open", "Whole"),
        PlacedKey("records.switch", "tab", "switch", "List or detail"),
        PlacedKey("records.filter", "slash", "filter", "Filter"),
        PlacedKey("records.copy", "y", "copy", "Copy"),
        PlacedKey("records.view", "v", "view", "Text or hex"),
        PlacedKey("records.link", "e", "link", "Error, or its message"),
        PlacedKey("records.worker", "w", "worker", "Worker"),
        PlacedKey("records.logs", "l", "logs", "Its log"),
        PlacedKey("records.tap", "T", "tap", "Tap the route"),
        PlacedKey("records.replay", "a", "replay", "Replay"),
        PlacedKey("records.purge", "X", "purge", "Remove"),
        *_same_as_main("help"),
    ),
    Place.STOPPING: (PlacedKey("stopping.force", "Q,ctrl+c", "force", "Kill them now", "ctrl+c"),),
}

PLACED_BY_ID = {key.id: key for keys in PLACED_KEYS.values() for key in keys}
"""Every id there is."""
