"""A configuration that was read anew, made so: routes come, go, restart or change their number of workers.

What cannot change under running workers (the broker, the group) refuses all of it by name; what only the next
start can do is named, and the rest is done.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

from routemq_tui.config.model import Config, Place, RouteConfig
from routemq_tui.engine.crew import Crew
from routemq_tui.engine.journal import Journal
from routemq_tui.engine.refusals import RESTART_TO_APPLY, STOPPING
from routemq_tui.engine.supervisor import Supervisor
from routemq_tui.worker import cells

_NOT_LIVE = ("group", "node")
"""Keys of `[app]` that every client id and subscription is made of."""
_NEXT_START = ("log_memory", "ephemeral")
_IDENTITY = ("topic", "group", "shared")
"""What a session at the broker was made for: with another one, the route is another route."""
_COUNTS = ("workers", "min_workers", "max_workers", "autoscale", "scaling")
_SILENT = ("name", "place", "written", *_IDENTITY)
_ALL = [each.name for each in fields(RouteConfig) if each.name not in ("name", "place", "written")]


@dataclass
class _Told:
    done: list[str] = field(default_factory=list)
    later: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    """Subscriptions that nobody has until a route is drained: what is published meanwhile may be lost."""

    def words(self) -> str:
        text = "reloaded: " + (", ".join(self.done) or "nothing to change")
        if self.later:
            text += f"; restart to apply {', '.join(self.later)}"
        return "; ".join([text, *self.gaps])


class Reloading:
    def __init__(self, config: Config, supervisor: Supervisor, journal: Journal) -> None:
        self.config = config
        """The one in force."""
        self._supervisor, self._journal = supervisor, journal

    def apply(self, new: Config) -> bool:
        """Make it so, and say what was done; False when nothing was, since something cannot be."""
        if self._supervisor.stopping:
            self._journal.notice("warning", f"not reloaded: {STOPPING}")
            return False
        refused = _changed_keys("app", self.config.app, new.app, _NOT_LIVE)
        refused += _changed_keys("broker", self.config.broker, new.broker)
        if refused:
            names = ", ".join(refused)
            self._journal.notice("error", f"not reloaded: {RESTART_TO_APPLY} {names}; nothing was changed")
            return False
        told = _Told()
        told.later += _changed_keys("app", self.config.app, new.app, _NEXT_START)
        told.later += [
            name for name in ("traffic", "http", "ui") if _plain(self.config, name) != _plain(new, name)
        ]
        self._routes(new, told)
        self.config = new
        self._journal.notice("warning" if told.gaps else "information", told.words())
        return True

    def _routes(self, new: Config, told: _Told) -> None:
        before = {route.name: route for route in self.config.routes}
        after = {route.name: route for route in new.routes}
        for_all = _changed_keys("app", self.config.app, new.app, ("middleware", "log_level"))
        self._supervisor.reconfigure(new)
        for name in before.keys() - after.keys():
            self._supervisor.remove(name)
            told.done.append(f"-{name}")
        for name, route in after.items():
            crew = self._supervisor.crews.get(name)
            if name not in before:
                self._supervisor.add(route)
                told.done.append(f"+{name}")
                if crew is not None:
                    told.gaps.append(_gap(crew, route))
            elif crew is not None and crew.leaving:  # another reload before all of the old route had gone
                self._supervisor.add(route)
                if names := _names(before[name], route, _ALL):
                    told.done.append(f"{name} ({names}) when the old route is drained")
            elif _differ(before[name], route, _IDENTITY):
                self._supervisor.remove(name, instead=route)
                told.done.append(f"{name} replaced ({_names(before[name], route, _IDENTITY)})")
                if crew is not None:
                    told.gaps.append(_gap(crew, route))
            elif crew is not None:
                self._change(crew, before[name], route, for_all, told)

    def _change(
        self, crew: Crew, old: RouteConfig, new: RouteConfig, for_all: list[str], told: _Told
    ) -> None:
        others = [each.name for each in fields(RouteConfig) if each.name not in (*_COUNTS, *_SILENT)]
        changed = [*_names(old, new, others).split(", "), *for_all] if _differ(old, new, others) else for_all
        crew.reconfigure(new, rescale=_differ(old, new, _COUNTS[1:]))
        if old.workers != new.workers and crew.desired != new.workers:
            told.done.append(f"{new.name} {crew.desired} -> {new.workers} workers")
            crew.desired = new.workers
            crew.mark("reloaded")
        allowed = min(max(crew.desired, new.min_workers), new.max_workers if new.shared else 1)
        if allowed != crew.desired:
            told.done.append(f"{new.name} {crew.desired} -> {allowed} workers")
            crew.desired = allowed
        if changed:
            crew.deaths.clear()
            crew.roll()
            told.done.append(f"{new.name} restarts one by one ({', '.join(changed)})")


def _gap(crew: Crew, new: RouteConfig) -> str:
    held = sum(slot.words[cells.IN_FLIGHT] for slot in crew)
    what = "topic is subscribed" if new.topic != crew.route.topic else "subscription is made"
    return f"{new.name}: the old route drains ({held} in hand); its new {what} when that is done"


def _differ(old: RouteConfig, new: RouteConfig, names: tuple[str, ...] | list[str]) -> bool:
    return any(getattr(old, name) != getattr(new, name) for name in names)


def _names(old: RouteConfig, new: RouteConfig, names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(name for name in names if getattr(old, name) != getattr(new, name))


def _changed_keys(section: str, old: Any, new: Any, names: tuple[str, ...] | None = None) -> list[str]:
    chosen = [each.name for each in fields(old)] if names is None else names
    return [f"{section}.{name}" for name in chosen if getattr(old, name) != getattr(new, name)]


def _plain(config: Config, name: str) -> Any:
    """A part of the configuration as it is compared: where it was written does not matter."""
    match name:
        case "traffic":
            return [replace(each, place=Place(None, None)) for each in config.traffic]
        case "ui":
            return replace(config.ui, keys={}), {key: wish.keys for key, wish in config.ui.keys.items()}
    return getattr(config, name)
