"""Reads tables against the schema: one mechanism for every unknown key, wrong type and bad value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path as FilePath
from typing import Any

from routemq_tui.config import schema
from routemq_tui.config.kinds import Kind
from routemq_tui.config.locate import Path
from routemq_tui.config.model import Place, Problem
from routemq_tui.config.schema import Section
from routemq_tui.config.source import Source, dotted, show


@dataclass(frozen=True, slots=True)
class Setting:
    """A value that was read, and where it was written."""

    value: Any = field(repr=False)
    """It may be a secret."""
    place: Place
    key: str


Settings = dict[str, Setting]


@dataclass(slots=True)
class RouteLayer:
    """What one file says of a route."""

    place: Place
    settings: Settings
    limits: Settings
    scaling: Settings
    written: frozenset[str]
    """All keys that stand there, those with a bad value too."""


@dataclass(slots=True)
class Layer:
    """What one file says, or one other place settings come from."""

    app: Settings = field(default_factory=dict)
    broker: Settings = field(default_factory=dict)
    defaults: Settings = field(default_factory=dict)
    http: Settings = field(default_factory=dict)
    ui: Settings = field(default_factory=dict)
    ui_keys: Settings = field(default_factory=dict)
    """By the id of the key."""
    limits: Settings = field(default_factory=dict)
    scaling: Settings = field(default_factory=dict)
    routes: dict[str, RouteLayer] = field(default_factory=dict)
    traffic: list[tuple[Place, Settings, Settings | None]] | None = None
    """None: it says nothing of traffic."""


class Reader:
    """Collects what is wrong while it reads."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def report(self, place: Place, key: str, message: str, hint: str = "") -> None:
        self.problems.append(Problem(place, key, message, hint))

    def layer(self, source: Source) -> Layer:
        """Everything one file says."""
        data, found = source.data, Layer()
        self._unknown_keys(source, (), data, schema.TOP)
        found.app = self._table(source, ("app",), data.get("app", {}), schema.APP)
        found.broker = self._table(source, ("broker",), data.get("broker", {}), schema.BROKER)
        defaults = data.get("defaults", {})
        found.defaults = self._table(source, ("defaults",), defaults, schema.DEFAULTS)
        found.limits = self._inner(source, ("defaults", "limits"), defaults, schema.LIMITS) or {}
        found.scaling = self._inner(source, ("defaults", "scaling"), defaults, schema.SCALING) or {}
        found.routes = self._routes(source, data.get("routes", {}))
        found.http = self._table(source, ("http",), data.get("http", {}), schema.HTTP)
        ui = data.get("ui", {})
        found.ui = self._table(source, ("ui",), ui, schema.UI)
        if isinstance(ui, dict) and "keys" in ui:
            found.ui_keys = self._keys(source, ("ui", "keys"), ui["keys"])
        if "traffic" in data:
            found.traffic = self._traffic(source, data["traffic"])
        return found

    def value(self, raw: object, kind: Kind, place: Place, key: str) -> Setting | None:
        """One value by its kind; None and a problem when it is not one."""
        try:
            return Setting(kind.read(raw), place, key)
        except (ValueError, OverflowError) as error:
            reason = "" if isinstance(error, OverflowError) else str(error)
            found = "what is not shown here" if kind.secret else show(raw)
            self.report(place, key, f"found {found}{reason and f': {reason}'}", kind.hint(raw))
        return None

    def _routes(self, source: Source, raw: object) -> dict[str, RouteLayer]:
        if not isinstance(raw, dict):
            self._not_a_table(source, ("routes",), raw)
            return {}
        found: dict[str, RouteLayer] = {}
        for name, table in raw.items():
            path = ("routes", name)
            if self.value(name, schema.NAME, source.place(path), dotted(path)) is None:
                continue
            settings = self._table(source, path, table, schema.ROUTE)
            limits = self._inner(source, (*path, "limits"), table, schema.LIMITS) or {}
            scaling = self._inner(source, (*path, "scaling"), table, schema.SCALING) or {}
            written = frozenset(table) if isinstance(table, dict) else frozenset(schema.ROUTE.required)
            found[name] = RouteLayer(source.place(path), settings, limits, scaling, written)
        return found

    def _keys(self, source: Source, path: Path, raw: object, prefix: str = "") -> Settings:
        """An id with a dot may be quoted or not: `move.up = "i"` is a table to TOML and says the same."""
        if not isinstance(raw, dict):
            self._not_a_table(source, path, raw)
            return {}
        found: Settings = {}
        for name, value in raw.items():
            inner = (*path, name)
            if isinstance(value, dict):
                found |= self._keys(source, inner, value, f"{prefix}{name}.")
                continue
            setting = self.value(value, schema.UI_KEY, source.place(inner), dotted(inner))
            if setting is not None:
                found[f"{prefix}{name}"] = setting
        return found

    def _traffic(self, source: Source, raw: object) -> list[tuple[Place, Settings, Settings | None]]:
        if not isinstance(raw, list):
            self.report(
                source.place(("traffic",)),
                "traffic",
                f"found {show(raw)}",
                "write it as [[traffic]], once for each",
            )
            return []
        found = []
        for index, table in enumerate(raw):
            path = ("traffic", index)
            settings = self._table(source, path, table, schema.TRAFFIC)
            burst = self._inner(source, (*path, "burst"), table, schema.BURST)
            self.require(source.place(path), path, table, schema.TRAFFIC)
            found.append((source.place(path), settings, burst))
        return found

    def _inner(self, source: Source, path: Path, outer: object, section: Section) -> Settings | None:
        """The table under the last key of `path`; None when there is none."""
        if not isinstance(outer, dict) or path[-1] not in outer:
            return None
        table = outer[path[-1]]
        settings = self._table(source, path, table, section)
        self.require(source.place(path), path, table, section)
        return settings

    def require(self, place: Place, path: Path, written: object, section: Section) -> None:
        """Report the keys a table must have and has not. Something that is no table was reported before."""
        if isinstance(written, dict | frozenset):
            for key in section.required:
                if key not in written:
                    kind = section.keys[key]
                    self.report(place, dotted((*path, key)), "is missing", f"allowed: {kind.allowed}")

    def _table(self, source: Source, path: Path, table: object, section: Section) -> Settings:
        if not isinstance(table, dict):
            self._not_a_table(source, path, table)
            return {}
        self._unknown_keys(source, path, table, section)
        found: Settings = {}
        for key, kind in section.keys.items():
            if key not in table:
                continue
            place, name = source.place((*path, key)), dotted((*path, key))
            setting = self.value(table[key], kind, place, name)
            if setting is not None:
                found[key] = setting
        return found

    def _unknown_keys(
        self, source: Source, path: Path, table: Mapping[str, object], section: Section
    ) -> None:
        known = (*section.keys, *section.tables)
        for key in table:
            if key in known:
                continue
            place, name = source.place((*path, key)), dotted((*path, key))
            if key in section.refused:
                self.report(place, name, "is not allowed here", section.refused[key])
                continue
            close = get_close_matches(key, known, 1)
            allowed = f"allowed: {', '.join(known)}"
            what = "unknown key" if path else "unknown section"
            self.report(place, name, what, f'did you mean "{close[0]}"? {allowed}' if close else allowed)

    def _not_a_table(self, source: Source, path: Path, raw: object) -> None:
        self.report(source.place(path), dotted(path), f"found {show(raw)}", f"write it as [{dotted(path)}]")


def outside(what: str) -> Place:
    """A place that is no file: `environment`, `command line`."""
    return Place(FilePath(what), None)
