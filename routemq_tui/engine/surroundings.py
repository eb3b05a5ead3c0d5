"""What every slot needs of the engine, handed down as one value."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from routemq_tui.engine.journal import Journal
from routemq_tui.engine.ledgers import Ledgers
from routemq_tui.engine.policy import RestartPolicy
from routemq_tui.engine.process import OutputPipes, Target
from routemq_tui.engine.sessions import SessionList
from routemq_tui.engine.told import ToldMessages
from routemq_tui.worker.entry import run


@dataclass(frozen=True)
class Surroundings:
    journal: Journal
    watch_outputs: Callable[[str, OutputPipes], None]
    sessions: SessionList
    ledgers: Ledgers
    told: ToldMessages = field(default_factory=ToldMessages)
    policy: RestartPolicy = field(default_factory=RestartPolicy)
    ephemeral: bool = False
    """Nobody comes back under the client ids of this node: sessions are ended at the end."""
    target: Target = run
    chance: Callable[[], float] = random.random
