"""One failure of a message, in words that can be logged, reported and kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from routemq_tui.routing.payload import PayloadError
from routemq_tui.worker.tracebacks import without_our_frames


@dataclass(frozen=True, slots=True)
class Failure:
    cause: Literal["handler", "timeout", "poison", "payload"]
    error: str
    """One line: `ValueError: bad reading`."""
    attempts: int = 1
    final: bool = False
    """It was given up before this attempt."""
    exception: BaseException | None = None
    """With the frames of the handler's own code; None when no handler's code failed."""

    @property
    def hopeless(self) -> bool:
        """Another attempt could not end otherwise."""
        return self.final or self.cause == "payload"


def failed(error: BaseException, attempts: int, cause: Literal["handler", "timeout"] = "handler") -> Failure:
    """The failure of a handler. Our own frames say nothing to its author, so they are taken out."""
    return Failure(cause, _one_line(error), attempts, exception=without_our_frames(error))


def unfit(error: PayloadError, attempts: int) -> Failure:
    """Without a traceback: it is the sender's fault, and the line says all."""
    return Failure("payload", " ".join(str(error).removeprefix(f"{error.topic}: ").split()), attempts)


def _one_line(error: BaseException) -> str:
    """`ValueError: bad reading`. A `__str__` that fails is the handler's fault too."""
    try:
        lines = str(error).splitlines()
    except Exception:  # noqa: BLE001 - the handler's own traceback is logged all the same
        lines = ["(its text cannot be made)"]
    kind = type(error).__name__
    return f"{kind}: {lines[0]}" if lines else kind
