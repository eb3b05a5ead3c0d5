"""An application for the tests: what its handlers did is written to files, a line a message."""

import asyncio
import os
from pathlib import Path

from routemq_tui import Router

router = Router()


def note(name: str, text: object) -> None:
    with (Path(os.environ["FLEET_FOLDER"]) / name).open("a") as file:
        file.write(f"{os.getpid()} {text}\n")


def small(id: str) -> None:
    note("small", id)


async def slow(id: str) -> None:
    await asyncio.sleep(0.01)
    note("slow", id)


def ordered(number: int) -> None:
    note("ordered", number)


router.on("a/{id}", small, qos=1, shared=True, worker_count=2)
router.on("b/{id}", slow, qos=1, shared=True, worker_count=8)
router.on("c/{number:int}", ordered, qos=1)
