"""The one table of keys. Bindings, the bottom line, the help screen and the palette are made from it.

Every key has an id, by which `[ui.keys]` of the configuration gives it another one. Plain data: the
configuration is checked against it where no screen is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Group(StrEnum):
    MOVE = "Move"
    TABLE = "Table"
    SCALE = "Scale"
    WORKERS = "Workers"
    LOGS = "Logs"
    MESSAGES = "Messages"
    PROGRAM = "Program"


@dataclass(frozen=True, slots=True)
class Key:
    id: str
    keys: str
    """As Textual names them, separated by commas; the first one is shown."""
    shown: str
    """How help and the bottom line write the default keys."""
    action: str
    label: str
    """One or two words, for the bottom line."""
    help: str
    """A sentence without a full stop, for help and palette; «id» stands for the key of that id."""
    group: Group
    footer: int = 0
    """Place in the bottom line, from 1; the highest go first when there is no room. 0: not there."""
    palette: bool = True
    kept: str = ""
    """Keys that it keeps when it is given others, so that nobody is locked in."""
    changing: bool = False
    """It changes something without giving an order: publishes, replays, removes. Not for `--read-only`."""

    @property
    def changes(self) -> bool:
        """Whether it changes workers or messages."""
        return self.changing or bool(self.order)

    @property
    def order(self) -> str:
        """The name of the order it gives the engine; empty for a key that gives none."""
        if self.action == "exact":
            return self.action
        return self.action[7:-2] if self.action.startswith("order('") else ""


# fmt: off
KEYS: tuple[Key, ...] = (
    Key("move.up", "k,up", "k ↑", "move('up')", "Up", "Up one line", Group.MOVE, palette=False),
    Key("move.down", "j,down", "j ↓", "move('down')", "Down", "Down one line", Group.MOVE, palette=False),
    Key("move.left", "h,left", "h ←", "move('left')", "Left", "Fold the route, or scroll left", Group.MOVE,
        palette=False),
    Key("move.right", "l,right", "l →", "move('right')", "Right", "Unfold the route, or scroll right",
        Group.MOVE, palette=False),
    Key("move.page_up", "pageup,ctrl+u", "PgUp", "move('page_up')", "Page up", "Up one page", Group.MOVE,
        palette=False),
    Key("move.page_down", "pagedown,ctrl+d", "PgDn", "move('page_down')", "Page down", "Down one page",
        Group.MOVE, palette=False),
    Key("move.top", "g,home", "g Home", "move('top')", "Top", "To the first line", Group.MOVE,
        palette=False),
    Key("move.bottom", "G,end", "G End", "move('bottom')", "End", "To the last line; logs follow again",
        Group.MOVE, palette=False),
    Key("pane.next", "tab", "Tab", "next_pane(1)", "Next pane", "To the next pane", Group.MOVE),
    Key("pane.previous", "shift+tab", "⇧Tab", "next_pane(-1)", "Previous pane", "To the pane before",
        Group.MOVE),
    Key("pane.routes", "1", "1", "pane('routes')", "Routes", "To the table of routes and workers",
        Group.MOVE),
    Key("pane.detail", "2", "2", "pane('detail')", "Detail", "To the detail of the selection", Group.MOVE),
    Key("pane.logs", "3", "3", "pane('logs')", "Logs", "To the logs of the selection", Group.MOVE),
    Key("open", "enter", "Enter", "open", "Open",
        "Fold a route; open a worker or a log line", Group.MOVE, 8),
    Key("fold", "space", "Space", "fold", "Fold", "Fold or unfold the route", Group.MOVE),
    Key("sort.next", "greater_than_sign", ">", "sort_next(1)", "Sort",
        "Sort: by p95 first, then by the next column", Group.TABLE),
    Key("sort.previous", "less_than_sign", "<", "sort_next(-1)", "Sort back",
        "Sort: by errors first, then the column before", Group.TABLE),
    Key("sort.reverse", "o", "o", "sort_reverse", "Reverse", "Turn the order of the sorting", Group.TABLE),
    Key("find", "F", "F", "find_routes", "Find", "Only routes with a text in their name or topic",
        Group.TABLE, 25),
    Key("columns", "C", "C", "columns", "Columns", "Choose the columns of the table", Group.TABLE),
    Key("span", "i", "i", "span", "Interval", "Curves of the last minute, 10 minutes, hour", Group.TABLE),
    Key("zoom", "z", "z", "zoom", "Zoom", "The focused pane alone, and back", Group.MOVE, 9),
    Key("back", "escape", "Esc", "back", "Back", "Back: out of a zoom, then to the routes", Group.MOVE,
        palette=False, kept="escape"),
    Key("add", "plus,equals_sign", "+", "order('add')", "Add", "Add a worker to the route (also =)",
        Group.SCALE, 1),
    Key("drain-one", "minus", "-", "order('drain_one')", "Drain", "Drain the highest worker of the route",
        Group.SCALE, 2),
    Key("exact", "S", "S", "exact", "Set", "Set the exact number of workers of the route", Group.SCALE, 12),
    Key("autoscale", "A", "A", "order('autoscale')", "Autoscale",
        "Scale the route by its load, or no longer", Group.SCALE),
    Key("start", "s", "s", "order('start')", "Start", "Start a stopped, failed or waiting worker now",
        Group.WORKERS, 13),
    Key("drain", "x", "x", "order('drain')", "Drain this", "Drain this worker and take it away",
        Group.WORKERS, 14),
    Key("kill", "X", "X", "order('kill')", "Kill", "Kill this worker (SIGKILL); it comes back",
        Group.WORKERS, 3),
    Key("restart", "r", "r", "order('restart')", "Restart", "Drain this worker and start it again",
        Group.WORKERS, 5),
    Key("rolling", "R", "R", "order('rolling')", "Rolling", "Restart the workers of the route one by one",
        Group.WORKERS, 15),
    Key("pause", "p", "p", "order('pause')", "Pause", "Pause the route, or let it go on", Group.WORKERS, 6),
    Key("filter", "slash", "/", "logs('filter')", "Filter", "Only lines that match (regex; ! inverts)",
        Group.LOGS, 7),
    Key("search", "ctrl+f", "Ctrl-F", "logs('search')", "Search",
        "Go to lines that match, others stay (regex)", Group.LOGS, 17),
    Key("search.next", "n", "n", "logs('next')", "Next", "Next match of the search, or ask for one",
        Group.LOGS, 18),
    Key("search.previous", "N", "N", "logs('previous')", "Match before", "Match before", Group.LOGS),
    Key("error.next", "right_square_bracket", "]", "logs('next_error')", "Next error", "Next error line",
        Group.LOGS, 19),
    Key("error.previous", "left_square_bracket", "[", "logs('previous_error')", "Error before",
        "Error line before", Group.LOGS, 20),
    Key("level", "L", "L", "logs('level')", "Level", "Lowest level shown: all, info, warning, error",
        Group.LOGS, 10),
    Key("follow", "f", "f", "logs('follow')", "Follow", "Follow the end of the logs, or pause", Group.LOGS,
        8),
    Key("wrap", "w", "w", "logs('wrap')", "Wrap",
        "Wrap long lines; «move.left» «move.right» scroll them", Group.LOGS, 16),
    Key("time", "t", "t", "logs('time')", "Time", "Time: of day, age, or since the line above", Group.LOGS,
        22),
    Key("jump", "J", "J", "logs('jump')", "Go to time", "Go to a time in the log, or some minutes back",
        Group.LOGS),
    Key("mark", "m", "m", "logs('mark')", "Mark", "Mark the current line, or the last one", Group.LOGS, 23),
    Key("mark.next", "apostrophe", "'", "logs('next_mark')", "Next mark", "To the next marked line",
        Group.LOGS),
    Key("select", "v", "v", "logs('select')", "Select",
        "Select lines with «move.down» «move.up» (or drag the mouse)", Group.LOGS, 21),
    Key("copy", "y", "y", "logs('copy')", "Copy", "Copy the selection or the current line", Group.LOGS, 17),
    Key("export", "E", "E", "logs('export')", "Export", "Write the lines of the view to a new file",
        Group.LOGS, 24),
    Key("clear", "c", "c", "logs('clear')", "Clear", "Clear the view; nothing is lost from the log",
        Group.LOGS),
    Key("split", "vertical_line", "|", "logs('split')", "Split",
        "Keep these logs in a pane beside, up to four", Group.LOGS, 26),
    Key("unsplit", "backslash", "\\", "logs('unsplit')", "Close split", "Close a pane of logs that was kept",
        Group.LOGS),
    Key("errors", "e", "e", "records('errors')", "Errors", "What failed, grouped by where and how",
        Group.MESSAGES, 8),
    Key("messages", "4", "4", "records('messages')", "Messages",
        "Single messages: outcome, time, payload", Group.MESSAGES, 16),
    Key("tap", "T", "T", "records('tap')", "Tap", "Tell the route's messages one by one, or not",
        Group.MESSAGES, changing=True),
    Key("letters", "d", "d", "records('letters')", "Dead letters", "Messages given up: look, replay, remove",
        Group.MESSAGES, 18),
    Key("publish", "P", "P", "records('publish')", "Publish", "Publish a message: topic and payload",
        Group.MESSAGES, changing=True),
    Key("palette", "ctrl+p,colon", ":", "app.command_palette", "Commands",
        "Everything by name (also Ctrl-P)", Group.PROGRAM, 11, palette=False),
    Key("help", "question_mark", "?", "help", "Help", "All keys", Group.PROGRAM, -2),
    Key("quit", "q,ctrl+c", "q", "quit", "Quit", "Drain all workers and leave (also Ctrl-C)", Group.PROGRAM,
        -1, kept="ctrl+c"),
    Key("quit-now", "Q", "Q", "quit_now", "Quit now", "Kill all workers and leave at once", Group.PROGRAM),
)
# fmt: on

KEY_BY_ID = {key.id: key for key in KEYS}
CHANGING = frozenset(key.action for key in KEYS if key.changes)
KEYS_BY_ORDER = {key.order: key for key in KEYS if key.order}


def called(action: str, parameters: tuple[object, ...]) -> str:
    """An action as the table of keys writes it: `order('add')`."""
    return f"{action}({', '.join(map(repr, parameters))})" if parameters else action
