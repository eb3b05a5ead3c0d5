"""The target of a worker process: set the process up, import the handler, work, end with a named code.

Importing this module has no side effects and needs no user code: a fork server preloads it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from routemq_tui.config.handlers import concurrency_fault
from routemq_tui.errors import ExitCode, RoutemqError
from routemq_tui.routing.binding import BindError, Bound
from routemq_tui.routing.declared import bind_declared, load_declared, load_middleware
from routemq_tui.routing.found import IN_WORKER
from routemq_tui.routing.template import Template
from routemq_tui.worker import capture, cells, log_handler
from routemq_tui.worker.control import Control
from routemq_tui.worker.forks import set_forks_apart
from routemq_tui.worker.guardian import Guardian, end_children, kill_children
from routemq_tui.worker.lifespan import BeginError, Lifespan
from routemq_tui.worker.limits import set_limits
from routemq_tui.worker.log_queue import LogQueue
from routemq_tui.worker.session import EXIT_SECONDS, WorkerSession
from routemq_tui.worker.spec import ImportFailed, StartFailed, WorkerSpec
from routemq_tui.worker.tracebacks import of_their_code, without_our_frames

_log = logging.getLogger("routemq.worker")


def run(
    spec: WorkerSpec,
    memory: Any,
    control: Connection[Any, Any],
    logs: Connection[Any, Any],
    stdout: Connection[Any, Any],
    stderr: Connection[Any, Any],
) -> NoReturn:
    """Be a worker until told otherwise; ends the process with an ExitCode."""
    os.environ[IN_WORKER] = spec.name
    capture.take_descriptors(stdout, stderr)
    _leave_terminal()
    words = cells.words_of(memory)
    _reset_cells(words)
    queue = LogQueue(logs, on_drop=lambda count: _count_drops(words, count))
    capture.capture_streams(queue)
    handler = log_handler.install(queue, logging.getLevelNamesMapping().get(spec.log_level, logging.INFO))
    set_forks_apart(queue, handler, words)
    guardian = Guardian(words, control.fileno(), spec.drain_timeout, lambda: _say_the_rest(queue))
    guardian.start()
    set_limits(spec)
    try:
        code = _work(spec, words, Control(control), guardian, handler)
    except BaseException:  # noqa: BLE001 - the last stop: it must be in the log before the process ends
        _log.critical("the worker crashed", exc_info=True)
        code = ExitCode.CRASHED
    guardian.exit_within(EXIT_SECONDS, code)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if code is ExitCode.ENGINE_GONE:
        end_children()
    _say_the_rest(queue)
    if code is ExitCode.ENGINE_GONE:
        kill_children()
    sys.exit(code)


def _say_the_rest(queue: LogQueue) -> None:
    capture.flush_streams()
    queue.close(timeout=1.0)


def _leave_terminal() -> None:
    """A session of its own: no terminal, no signals from one, and its children can be killed as one."""
    with contextlib.suppress(OSError):  # it leads a group already
        os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Until there is a session to drain, which takes the signal over, there is nothing to finish.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(ExitCode.OK))


def _reset_cells(words: memoryview) -> None:
    """Counters go on from where the slot's last process left them; what describes the moment does not."""
    for cell in cells.OF_A_PROCESS:
        words[cell] = 0
    words[cells.PID] = os.getpid()
    words[cells.ACKNOWLEDGED] = words[cells.RECEIVED]


def _count_drops(words: memoryview, count: int) -> None:
    words[cells.LOG_DROPPED] += count


def _work(
    spec: WorkerSpec,
    words: memoryview,
    control: Control,
    guardian: Guardian,
    handler: log_handler.LogQueueHandler,
) -> ExitCode:
    try:
        template, bound, lifespan = _load(spec)
    except BaseException as error:  # noqa: BLE001 - a module may do anything when imported, exit included
        _say_why(error, control, ImportFailed)
        return ExitCode.IMPORT_FAILED
    finally:
        log_handler.tidy(handler)
    return asyncio.run(_session(spec, words, control, guardian, template, bound, lifespan))


def _say_why(error: BaseException, control: Control, report: type[ImportFailed] | type[StartFailed]) -> None:
    reason = str(error) if isinstance(error, RoutemqError) else f"{type(error).__name__}: {error}"
    _log.error("%s", reason, exc_info=_theirs(error))
    control.report(report(reason))


def _theirs(error: BaseException) -> BaseException | None:
    """What to show the traceback of: the line says all there is to an error that we found ourselves."""
    if not isinstance(error, RoutemqError):
        return without_our_frames(error)
    if error.__cause__ is None or isinstance(error, BindError):
        return None
    return of_their_code(error.__cause__)


def _load(spec: WorkerSpec) -> tuple[Template, Bound, Lifespan]:
    root = Path(spec.root)
    template = Template.parse(spec.template)
    declared = load_declared(spec.handler, root)
    bound = bind_declared(declared, template, root, load_middleware(spec.middleware, root))
    fault = concurrency_fault(spec.concurrency, bound)
    if fault is not None:
        raise BindError(*fault)
    return template, bound, Lifespan(spec, declared, bound, root)


async def _session(
    spec: WorkerSpec,
    words: memoryview,
    control: Control,
    guardian: Guardian,
    template: Template,
    bound: Bound,
    lifespan: Lifespan,
) -> ExitCode:
    exit_code = ExitCode.CRASHED
    try:
        await lifespan.begin()
        exit_code = ExitCode.OK
        return await WorkerSession(spec, words, control, guardian, template, bound).run()
    except BeginError as error:
        _say_why(error, control, StartFailed)
        return exit_code
    finally:
        if not lifespan.is_empty:
            guardian.exit_within(spec.drain_timeout + EXIT_SECONDS, exit_code)
            await lifespan.end()
