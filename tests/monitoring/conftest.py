"""Real engines, as the tests of the engine have them."""

from __future__ import annotations

from tests.engine.conftest import _one_fork_server, _quick_snapshots, broker, start_rig

__all__ = ["_one_fork_server", "_quick_snapshots", "broker", "start_rig"]
