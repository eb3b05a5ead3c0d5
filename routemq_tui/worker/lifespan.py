"""What lives as long as a worker: hooks at its beginning and end, and what its handler needs meanwhile."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from routemq_tui.errors import RoutemqError
from routemq_tui.routing.binding import Bound
from routemq_tui.routing.declared import Declared
from routemq_tui.routing.depends import WorkerNeeds
from routemq_tui.routing.handler import load_handler, location, shown_path
from routemq_tui.worker.spec import WorkerSpec

Hook = Callable[..., Any]
_log = logging.getLogger("routemq.worker")


@dataclass(frozen=True)
class Worker:
    """The worker, as hooks get it."""

    name: str
    """`sensors/2`."""
    route: str
    slot: int
    state: dict[str, Any] = field(default_factory=dict)
    """Whatever hooks want to keep."""


class BeginError(RoutemqError):
    """A hook, or a factory of what the handler needs, raised something; it may go well the next time."""


@dataclass(slots=True)
class _Layer:
    """The hooks that somebody declared together: the router's, or those of the route's settings."""

    starting: Sequence[Hook]
    stopping: Sequence[Hook]
    begun: bool = False
    """Whether there is something to end: one of its starting hooks has ended well, or it has none."""


class Lifespan:
    def __init__(self, spec: WorkerSpec, declared: Declared, bound: Bound, root: Path) -> None:
        """Imports the hooks that the configuration names; raises HandlerImportError."""
        own = [None if each is None else load_handler(each, root) for each in (spec.on_start, spec.on_stop)]
        self._layers = (
            _Layer(declared.starting, declared.stopping[::-1]),
            _Layer([*filter(None, own[:1])], [*filter(None, own[1:])]),
        )
        self._needs = WorkerNeeds(bound.worker_needs)
        self._worker = Worker(spec.name, spec.route, spec.slot)
        self._root = root
        self._patience = spec.drain_timeout

    @property
    def is_empty(self) -> bool:
        return not (any(each.starting or each.stopping for each in self._layers) or self._needs)

    async def begin(self) -> None:
        """Run the hooks, then make what the handler needs. Raises BeginError for what they raise; `end` then
        ends what had begun."""
        for layer in self._layers:
            layer.begun = not layer.starting
            for hook in layer.starting:
                await self._run(hook)
                layer.begun = True
        try:
            await self._needs.open()
        except (Exception, SystemExit) as error:
            raise self._failure(error, "what the handler depends on") from error

    async def end(self) -> None:
        """Close what was made, then run the hooks; for so long as a drain may take. What fails is logged."""
        try:
            async with asyncio.timeout(self._patience):
                await self._close_needs()
                for layer in reversed(self._layers):
                    for hook in layer.stopping if layer.begun else ():
                        await self._stop_by(hook)
        except TimeoutError:
            _log.error("on_stop did not end within %g s", self._patience)

    async def _close_needs(self) -> None:
        try:
            await self._needs.close()
        except Exception:  # noqa: BLE001 - the user's: the rest has to end all the same
            _log.exception("what the handler depended on could not be closed")

    async def _stop_by(self, hook: Hook) -> None:
        try:
            await _called(hook, self._worker)
        except Exception:  # noqa: BLE001 - the user's: the others have to end all the same
            _log.exception("on_stop failed (%s)", location(hook, self._root))

    async def _run(self, hook: Hook) -> None:
        try:
            await _called(hook, self._worker)
        except (Exception, SystemExit) as error:
            raise self._failure(error, f"on_start ({location(hook, self._root)})") from error

    def _failure(self, error: BaseException, what: str) -> BeginError:
        trace = error.__traceback__
        place = ""
        while trace is not None:
            file = trace.tb_frame.f_code.co_filename
            if Path(file).is_relative_to(self._root):
                place = f", at {shown_path(file, self._root)}:{trace.tb_lineno}"
            trace = trace.tb_next
        return BeginError(f"{what} failed: {type(error).__name__}: {error}{place}")


async def _called(hook: Hook, worker: Worker) -> None:
    takes = bool(_parameters(hook))
    result = hook(worker) if takes else hook()
    if inspect.isawaitable(result):
        await result


def _parameters(hook: Hook) -> Sequence[inspect.Parameter]:
    return [
        each
        for each in inspect.signature(hook).parameters.values()
        if each.default is each.empty and each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]
