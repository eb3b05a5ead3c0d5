"""What the main screen does for the keys of messages: opens their screens, taps routes, publishes."""

from __future__ import annotations

from collections.abc import Callable

from textual.screen import Screen

from routemq_tui.engine.commands import SetTap
from routemq_tui.engine.messages import TappedMessage
from routemq_tui.engine.port import LogLine
from routemq_tui.tui.message_near import message_near
from routemq_tui.tui.net import guard
from routemq_tui.tui.notices import Severity
from routemq_tui.tui.publish_text import proposed_topic, publish_problem, read_publish
from routemq_tui.tui.rows import Row
from routemq_tui.tui.screens.dead_letters import DeadLettersScreen
from routemq_tui.tui.screens.errors import ErrorsScreen
from routemq_tui.tui.screens.messages import MessagesScreen
from routemq_tui.tui.screens.prompt import Prompt
from routemq_tui.tui.screens.prompt_history import PromptHistory
from routemq_tui.tui.surroundings import Surroundings

Tell = Callable[[str, Severity], None]
MESSAGES_KEPT = 1_000_000
"""More than there ever are."""


class RecordDesk:
    def __init__(
        self,
        screen: Screen[None],
        around: Surroundings,
        row: Callable[[], Row | None],
        line: Callable[[], LogLine | None],
        tell: Tell,
    ) -> None:
        """`line`: the line of the log that somebody looks at."""
        self._screen, self._around, self._row, self._line, self._tell = screen, around, row, line, tell
        self._published = PromptHistory()
        self.actions: dict[str, Callable[[], None]] = {
            "errors": self.errors,
            "messages": self.messages,
            "letters": self.letters,
            "tap": self.tap,
            "publish": self.publish,
        }

    def errors(self) -> None:
        """All of them; of the selected route, by its name as the filter. From a line of the log, its own."""
        message = self._message_of_line()
        if message is not None and message.group:
            self._screen.app.push_screen(ErrorsScreen(self._around, select=message.group))
            return
        row = self._row()
        wanted = "" if row is None or row.route is None else row.key.label
        groups = self._around.engine.snapshot().errors
        touched = any(wanted in (*group.routes, *group.workers) for group in groups)
        self._screen.app.push_screen(ErrorsScreen(self._around, wanted if touched else ""))

    def messages(self) -> None:
        """Those of the selected route or worker. From a line of the log, that which was handled then."""
        message = self._message_of_line()
        if message is not None:
            route = next(
                (each for each in self._around.engine.snapshot().routes if each.name == message.route), None
            )
            self._screen.app.push_screen(MessagesScreen(self._around, route, select=message.seq))
            return
        if self._line() is not None:
            self._tell("No message that is kept was handled then: «tap» keeps the next ones", "warning")
        row = self._row()
        route = None if row is None else row.route
        wanted = row.key.label if row is not None and row.worker is not None else ""
        self._screen.app.push_screen(MessagesScreen(self._around, route, wanted))

    def _message_of_line(self) -> TappedMessage | None:
        line = self._line()
        if line is None:
            return None
        kept = self._around.engine.messages.read(line.route, limit=MESSAGES_KEPT).messages
        return message_near(kept, line)

    def letters(self) -> None:
        self._screen.app.push_screen(DeadLettersScreen(self._around))

    def tap(self) -> None:
        row = self._row()
        if row is None or row.route is None:
            self._tell("Choose a route: the tap is for one route", "warning")
            return
        route = row.route
        self._around.engine.send(SetTap(route.name, not route.tapped))
        after = "no longer tapped" if route.tapped else "tapped: «messages» shows its messages"
        self._tell(f"{route.name} is {after}", "information")

    def publish(self) -> None:
        row = self._row()
        topic = proposed_topic(row.route.topic) if row is not None and row.route is not None else ""
        hint = "topic, a space, payload · {int:1..9} draws a number · Enter sends at QoS 1"
        text = f"{topic} " if topic else ""
        prompt = Prompt("Publish:", hint, publish_problem, text, history=self._published)
        self._screen.app.push_screen(prompt, guard(self._screen, self._publish))

    def _publish(self, text: str | None) -> None:
        if text:
            self._around.engine.send(read_publish(text))
