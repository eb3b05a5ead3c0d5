"""Routes that routers declare, as settings with the line of Python where each was said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from routemq_tui.config import schema
from routemq_tui.config.model import Place, Problem
from routemq_tui.config.reader import Reader, Setting, Settings
from routemq_tui.routing.found import FoundRoute
from routemq_tui.routing.router import unused_name

_ROUTERS_OWN = ("topic", "handler", "shared")
"""What only the router can say: another topic, handler or way of sharing would be another route."""


@dataclass(frozen=True, slots=True)
class Declared:
    route: FoundRoute
    settings: Settings

    @property
    def place(self) -> Place:
        return Place(Path(self.route.file), self.route.line)


def declared_routes(reader: Reader, found: Sequence[FoundRoute]) -> dict[str, Declared]:
    """The routes of all routers by name. A name made of the topic gives way, one that was chosen does not."""
    routes: dict[str, Declared] = {}
    for route in sorted(found, key=lambda each: not each.named):
        name = route.name
        if name in routes:
            if route.named:
                other = routes[name].route.place
                _report(reader, route, "name", f"{name!r} is the name of the route in {other} too")
                continue
            name = unused_name(name, routes)
        routes[name] = Declared(route, _settings(reader, route))
    places = {each.reference: number for number, each in enumerate(found)}
    return dict(sorted(routes.items(), key=lambda pair: places[pair[1].route.reference]))


def without_contradictions(reader: Reader, declared: Declared, own: Settings) -> Settings:
    """A file may give a declared route other counts and policies, but not make another route of it."""
    for key in _ROUTERS_OWN:
        if key not in own or own[key].value == declared.settings[key].value:
            continue
        setting = own[key]
        said = declared.settings[key].value
        shown = str(said).lower() if isinstance(said, bool) else repr(said)
        message = f"the router says {shown} ({declared.route.place})"
        reader.report(setting.place, setting.key, message, "change it there, or take it out here")
    return {key: setting for key, setting in own.items() if key not in _ROUTERS_OWN}


def _settings(reader: Reader, route: FoundRoute) -> Settings:
    place = Place(Path(route.file), route.line)
    fixed = {"topic": route.topic, "handler": route.reference, "shared": route.shared}
    settings: Settings = {key: Setting(value, place, key) for key, value in fixed.items()}
    for key, value in route.settings.items():
        if key == "workers" and not route.shared and value != 1:
            message = f"worker_count {value} counts only with shared=True: one worker keeps the order"
            reader.warnings.append(Problem(place, f"{route.name}: worker_count", message))
            continue
        kind = schema.ROUTE.keys.get(key)
        if kind is None or key in _ROUTERS_OWN:
            close = get_close_matches(key, schema.ROUTE.keys, 1)
            _report(reader, route, key, "unknown argument", f'did you mean "{close[0]}"?' if close else "")
        elif (setting := reader.value(value, kind, place, f"{route.name}: {key}")) is not None:
            settings[key] = setting
    return settings


def _report(reader: Reader, route: FoundRoute, key: str, message: str, hint: str = "") -> None:
    reader.report(Place(Path(route.file), route.line), f"{route.name}: {key}", message, hint)
