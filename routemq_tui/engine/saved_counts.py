"""Worker counts that were changed while running, kept for the next start in `routemq.local.toml`.

The file written by hand is only read. Of the local file all other settings stay (comments do not).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import tomli_w

from routemq_tui.config.load import ConfigError, counts_of_file
from routemq_tui.config.model import Config, RouteConfig
from routemq_tui.config.source import LOCAL_FILE
from routemq_tui.engine.instance_file import write_whole
from routemq_tui.errors import RoutemqError
from routemq_tui.routing.found import Discovery

_HEADER = "# Saved by routemq-tui. It wins over routemq.toml; --no-local starts without it.\n"
_STARTS_WITH = 1
"""The least a route can be configured to start with."""


class SaveError(RoutemqError):
    """The counts could not be saved; nothing was changed."""


@dataclass(slots=True)
class _Change:
    """What becomes of the local file, and the words for it."""

    saved: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def words(self) -> str:
        parts = []
        if self.saved:
            parts.append(f"saved to {LOCAL_FILE}: {', '.join(self.saved)}")
        if self.dropped:
            parts.append(f"taken out of {LOCAL_FILE}: {', '.join(self.dropped)}")
        if not parts:
            parts.append("nothing to save: all counts are those of the configuration file")
        return "; ".join(parts + self.left_out)


class SavedCounts:
    def __init__(self, config: Config) -> None:
        self._config = config
        self._path = config.file.with_name(LOCAL_FILE)

    def save(self, counts: Mapping[str, int]) -> str:
        """Write the counts that differ from the hand-written file's; returns in words what was done.

        Raises SaveError when one of the two files cannot be read, or the local one not be written.
        """
        if self._path == self._config.file:
            raise SaveError(f"this configuration is {LOCAL_FILE} itself: there is no other file to save to")
        try:
            written = counts_of_file(self._config.file, Discovery(self._config.routers))
        except ConfigError as error:
            raise SaveError(f"the counts cannot be compared with {error}") from None
        values = self._read()
        change = _Change()
        self._merge(values, counts, written, change)
        if change.saved or change.dropped:
            self._write(values)
        change.left_out += self._overruled(counts)
        return change.words()

    def _read(self) -> dict[str, Any]:
        try:
            values = tomllib.loads(self._path.read_text("utf-8-sig"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:  # both decoding errors are ValueErrors
            raise SaveError(f"{self._path} cannot be read, so it is left as it is: {error}") from None
        routes = values.get("routes", {})
        if not isinstance(routes, dict) or not all(isinstance(each, dict) for each in routes.values()):
            raise SaveError(f"{self._path} is left as it is: its routes are no tables")
        return values

    def _merge(
        self, values: dict[str, Any], counts: Mapping[str, int], written: Mapping[str, int], change: _Change
    ) -> None:
        routes = values.setdefault("routes", {})
        for name, count in counts.items():
            known, told = routes.get(name, {}).get("workers"), written.get(name)
            if count == told and known is not None:
                del routes[name]["workers"]
                change.dropped.append(f"{name} (the file says {told} too)")
            elif count < _STARTS_WITH and told != count:
                change.left_out.append(f"{name} is left out: a route starts with at least one worker")
            elif count not in (told, known):
                routes.setdefault(name, {})["workers"] = count
                change.saved.append(f"{name} {count}" + (f" (the file says {told})" if told else ""))
        for name, route in routes.items():
            if name not in counts and "workers" in route and not {"topic", "handler"} & route.keys():
                del route["workers"]
                change.dropped.append(f"{name} (there is no such route any more)")
        values["routes"] = {name: route for name, route in routes.items() if route}
        if not values["routes"]:
            del values["routes"]

    def _write(self, values: dict[str, Any]) -> None:
        path = self._path.resolve()  # a link to elsewhere stays one
        try:
            if not values:
                path.unlink(missing_ok=True)
                return
            like = path if path.exists() else self._config.file
            write_whole(path, _HEADER + tomli_w.dumps(values), like.stat().st_mode & 0o666)
        except OSError as error:
            raise SaveError(f"{self._path} cannot be written: {error.strerror}") from None

    def _overruled(self, counts: Mapping[str, int]) -> list[str]:
        """Routes whose count comes from where it wins over any file, and would at the next start."""
        found: dict[str, list[str]] = {}
        for route in self._config.routes:
            source = _outside(route)
            if source and counts.get(route.name) != route.workers:
                found.setdefault(source, []).append(route.name)
        return [
            f"but at the next start the {source} wins for {', '.join(names)}, as it did at this one"
            for source, names in found.items()
        ]


def _outside(route: RouteConfig) -> str:
    file = route.written["workers"].file if "workers" in route.written else None
    if file is None or file.suffix == ".toml":
        return ""
    return file.name
