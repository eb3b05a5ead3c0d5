"""Catches an error of the screen itself: it is told, noted with its traceback, and all else goes on.

Textual ends the program at an error, and with it all workers, though they have no part in it. It is caught
where Textual lets it be: in events, ticks, answers, background work and drawing. While a screen is built, and
on the way out, nothing is caught; nor are errors that follow each other without end.
"""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Callable
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from textual import events
from textual.geometry import Region
from textual.message_pump import MessagePump
from textual.strip import Strip
from textual.worker import Worker, WorkerState

P = ParamSpec("P")
Node = TypeVar("Node", bound=MessagePump)

if TYPE_CHECKING:
    from textual.widget import Widget

    Pump = MessagePump
else:
    # Textual takes the styles of a widget from its first base that is one: that shall be another one.
    Pump = Widget = object

QUIET = 2.0
"""Seconds without an error until it is told again."""
MOST, SECONDS = 2000, 10.0
"""So many errors in so many seconds: something goes round and round."""
LONGEST = 160
BUILDING = (events.Load, events.Compose, events.Mount)
"""What fails here leaves half a screen."""


class Net:
    def __init__(self, tell: Callable[[str], None], note: Callable[[str], None]) -> None:
        """`tell` a user, `note` the traceback."""
        self._tell, self._note = tell, note
        self.faults: list[str] = []
        """The traceback of each, those only once that came again and again."""
        self._lasts: dict[tuple[str, str], float] = {}
        self._times: deque[float] = deque(maxlen=MOST)

    def take(self, error: Exception) -> None:
        """Tell of an error, once while it comes again and again; raises it when there is no end of them."""
        now = time.monotonic()
        self._times.append(now)
        if len(self._times) == MOST and now - self._times[0] < SECONDS:
            raise error
        place = type(error).__name__, "".join(traceback.format_tb(error.__traceback__)[-1:])
        last, self._lasts[place] = self._lasts.get(place), now
        if last is not None and now - last < QUIET:
            return
        trace = "".join(traceback.format_exception(error))
        if last is None:
            self.faults.append(trace)
        words = f"{type(error).__name__}: {error}".partition("\n")[0][:LONGEST]
        self._note(f"the screen made an error, and goes on: {words}\n{trace}")
        self._tell(f"That did not work, please report it: {words}")


def report(node: MessagePump, error: Exception) -> None:
    """Tell of an error; in a program without a net, raise it."""
    net = getattr(node.app, "net", None)
    if not isinstance(net, Net):
        raise error
    net.take(error)


class Caught:
    """Errors of what is done within it are told and noted. The workers must not end for them."""

    def __init__(self, node: MessagePump) -> None:
        self._node = node

    def __enter__(self) -> None:
        """Nothing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        report(self._node, error)
        return True


def guard(node: MessagePump, work: Callable[P, object]) -> Callable[P, None]:
    """The same work, whose errors are caught."""

    def careful(*args: P.args, **kwargs: P.kwargs) -> None:
        with Caught(node):
            work(*args, **kwargs)

    return careful


def guarded(method: Callable[Concatenate[Node, P], None]) -> Callable[Concatenate[Node, P], None]:
    """For a method that Textual calls by other ways than an event: by a timer, or for a message."""

    @wraps(method)
    def careful(node: Node, /, *args: P.args, **kwargs: P.kwargs) -> None:
        with Caught(node):
            method(node, *args, **kwargs)

    return careful


class Guarded(Pump):
    """A screen or widget, or the program, whose events and background work are caught."""

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, BUILDING):
            await super().on_event(event)
            return
        with Caught(self):
            await super().on_event(event)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Of workers that do not end the program by themselves (`exit_on_error=False`)."""
        error = event.worker.error
        if event.state is WorkerState.ERROR and isinstance(error, Exception):
            report(self, error)


class GuardedDrawing(Guarded, Widget):
    """A widget of lines, of which those that cannot be drawn are left blank."""

    def render_lines(self, crop: Region) -> list[Strip]:
        with Caught(self):
            return super().render_lines(crop)
        # One by one: most of them can be drawn.
        return [self._one_line(Region(crop.x, y, crop.width, 1)) for y in range(crop.y, crop.bottom)]

    def _one_line(self, crop: Region) -> Strip:
        try:
            return super().render_lines(crop)[0]
        except Exception:  # noqa: BLE001 - the drawing was told of as a whole: one error, however tall it is
            return Strip.blank(crop.width, self.rich_style)
