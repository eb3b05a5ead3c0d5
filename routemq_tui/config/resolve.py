"""Layers of settings merged into the values of `model`, with the checks that need more than one setting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from routemq_tui.config import schema
from routemq_tui.config.declared import Declared, declared_routes, without_contradictions
from routemq_tui.config.environment import COMMAND_LINE, secret_from_file
from routemq_tui.config.model import (
    AppConfig,
    BrokerConfig,
    Burst,
    HttpConfig,
    KeyWish,
    Limits,
    OnError,
    Place,
    Problem,
    RouteConfig,
    TrafficConfig,
    UiConfig,
)
from routemq_tui.config.reader import Layer, Reader, RouteLayer, Setting, Settings
from routemq_tui.config.scaling import autoscales, resolve_scaling
from routemq_tui.config.source import LOCAL_FILE
from routemq_tui.config.tls import TLS_KEYS, resolve_tls, with_wanted_tls
from routemq_tui.config.url import BrokerUrl, parse_broker_url
from routemq_tui.routing.found import FoundRoute
from routemq_tui.routing.template import Template
from routemq_tui.routing.topics import matches, subscription

ORDER_REASON = (
    "a route that is not shared has one worker, since several would each get every message and order is its "
    "point: remove shared = false, or workers"
)


_ROUTE_DEFAULTS = {each.name: each.default for each in fields(RouteConfig)}


@dataclass(frozen=True, slots=True)
class Layers:
    """Where settings come from, weakest first within each."""

    files: Sequence[Layer]
    """`routemq.toml`, then `routemq.local.toml`."""
    forced: Sequence[Layer]
    """The environment, then the command line: their `defaults` win over what a route says itself."""

    @property
    def all(self) -> tuple[Layer, ...]:
        return (*self.files, *self.forced)


def resolve_app(layers: Layers) -> AppConfig:
    return AppConfig(**_values(_merge(*(layer.app for layer in layers.all))))


def resolve_broker(reader: Reader, layers: Layers, root: Path) -> BrokerConfig:
    merged = _merge(*(layer.broker for layer in layers.all))
    url_port, url_tls = merged.pop("url_port", None), merged.pop("url_tls", None)
    password_file = merged.pop("password_file", None)
    security = {key: merged.pop(key) for key in TLS_KEYS if key in merged}
    values = _values(merged)
    address = parse_broker_url(values.get("url", BrokerConfig().url))
    address = with_wanted_tls(reader, url_tls, merged.get("url"), address)
    if url_port is not None:
        port = _port(reader, merged.get("url"), address, url_port)
        if address is None:
            values["port"] = port
        else:
            address = replace(address, port=port)
    if address is not None:
        values["url"] = str(address)
        values.setdefault("username", address.username)
    if password_file is not None and "password" not in values:
        values["password"] = secret_from_file(reader, root, password_file)
    values["tls"] = resolve_tls(reader, root, security, address)
    broker = BrokerConfig(**values)
    if broker.password and not broker.username and broker.protocol == "3.1.1":
        source = merged.get("password", password_file)
        if source is not None:
            reader.report(
                source.place,
                source.key,
                "a password without a username",
                "MQTT 3.1.1 wants both: set username",
            )
    return broker


def _port(reader: Reader, url: Setting | None, address: BrokerUrl | None, wanted: Setting) -> int:
    """The port of MQTT_PORT, unless the command line, or MQTT_BROKER itself, names one."""
    port: int = wanted.value
    if address is None or url is None or not address.explicit_port:
        return port
    if url.key == "MQTT_BROKER" and address.port != port:
        message = f"found {port}, but MQTT_BROKER says {address.port}"
        reader.report(wanted.place, wanted.key, message, "leave one of them out")
    from_file = url.place.line is not None and url.key != "MQTT_BROKER"
    return port if from_file else address.port


def resolve_routes(
    reader: Reader, layers: Layers, app: AppConfig, discovered: Sequence[FoundRoute] | None = ()
) -> tuple[RouteConfig, ...]:
    """The routes of the files, then those of routers; None: it is not known what these are."""
    declared = declared_routes(reader, discovered or ())
    names = list(dict.fromkeys(name for layer in layers.files for name in layer.routes))
    found = []
    for name in dict.fromkeys([*(each for each in names if each not in declared), *declared]):
        entries = [layer.routes[name] for layer in layers.files if name in layer.routes]
        if name not in declared:
            if discovered is None and not {"topic", "handler"} & entries[0].written:
                continue  # It may be a router's.
            if _is_left_over(reader, layers, name, entries, declared):
                continue
        route = _resolve_route(reader, layers, name, entries, app, declared.get(name))
        if route is not None:
            found.append(route)
    _refuse_same_client_ids(reader, found, app)
    _warn_of_same_subscription(reader, found)
    return tuple(found)


def resolve_traffic(layers: Layers) -> tuple[TrafficConfig, ...]:
    """The last file that speaks of traffic has said all of it."""
    spoken = [layer.traffic for layer in layers.files if layer.traffic is not None]
    found = []
    for place, settings, burst in spoken[-1] if spoken else []:
        values = _values(settings)
        if "topic" in values:
            full = burst is not None and set(burst) == set(schema.BURST.required)
            found.append(
                TrafficConfig(
                    **values, burst=Burst(**_values(burst)) if burst and full else None, place=place
                )
            )
    return tuple(found)


def resolve_http(layers: Layers) -> HttpConfig:
    return HttpConfig(**_values(_merge(*(layer.http for layer in layers.all))))


def resolve_ui(layers: Layers) -> UiConfig:
    merged = _merge(*(layer.ui for layer in layers.all))
    keys = _merge(*(layer.ui_keys for layer in layers.files))
    asked = "theme" in merged and merged["theme"].place == COMMAND_LINE
    wishes = {name: KeyWish(setting.value, setting.place) for name, setting in keys.items()}
    return UiConfig(**_values(merged), theme_asked=asked, keys=wishes)


def _is_left_over(
    reader: Reader, layers: Layers, name: str, entries: list[RouteLayer], declared: Iterable[str]
) -> bool:
    """Whether only the saved counts speak of this route: it was renamed or removed since."""
    if name in layers.files[0].routes or {"topic", "handler"} & entries[-1].written:
        return False
    close = get_close_matches(name, [*layers.files[0].routes, *declared], 1)
    hint = f'did you mean "{close[0]}"?' if close else "remove it"
    message = "there is no such route in the main file; ignored"
    reader.warnings.append(Problem(entries[-1].place, f"routes.{name}", message, hint))
    return True


def _resolve_route(
    reader: Reader,
    layers: Layers,
    name: str,
    entries: list[RouteLayer],
    app: AppConfig,
    declared: Declared | None,
) -> RouteConfig | None:
    own = _merge(*(entry.settings for entry in entries))
    if declared is None:
        written = frozenset[str]().union(*(entry.written for entry in entries))
        reader.require(entries[0].place, ("routes", name), written, schema.ROUTE)
    else:
        own = declared.settings | without_contradictions(reader, declared, own)
    defaults = _merge(*(layer.defaults for layer in layers.files))
    forced = _merge(*(layer.defaults for layer in layers.forced))
    merged = _merge(defaults, own, forced)
    _keep_saved_count_in_bounds(reader, merged, own)
    counts = _counts(reader, merged, own)
    _check_dead_letter_topic(reader, merged, own)
    if not {"topic", "handler"} <= merged.keys():
        return None
    written_scaling = _merge(*(layer.scaling for layer in layers.files), *(each.scaling for each in entries))
    scaling = resolve_scaling(reader, written_scaling)
    autoscale = autoscales(reader, merged, own, counts)
    limits = _merge(*(layer.limits for layer in layers.files), *(entry.limits for entry in entries))
    values = _values(merged)
    values.setdefault("group", app.group)
    values["on_error"] = OnError(values.get("on_error", OnError.DEAD_LETTER))
    values |= {**counts, "autoscale": autoscale}
    return RouteConfig(
        name=name,
        limits=Limits(**_values(limits)),
        scaling=scaling,
        place=entries[0].place if declared is None else declared.place,
        written={key: setting.place for key, setting in merged.items()},
        **values,
    )


def _keep_saved_count_in_bounds(reader: Reader, merged: Settings, own: Settings) -> None:
    """A count that the program saved may not fit what was written by hand since: the nearest that does."""
    saved = merged.get("workers")
    if saved is None or saved.place.file is None or saved.place.file.name != LOCAL_FILE:
        return
    low, high = _value(merged, "min_workers"), _value(merged, "max_workers")
    if "shared" in merged and not merged["shared"].value:
        low = high = 1
    fits = min(max(saved.value, low, 1), high)
    if fits != saved.value and low <= high:
        message = f"found {saved.value}, which the route's limits do not allow any more: {fits} it is"
        reader.warnings.append(Problem(saved.place, saved.key, message, "save the counts again"))
        merged["workers"] = replace(saved, value=fits)
        if "workers" in own:
            own["workers"] = merged["workers"]


def _counts(reader: Reader, merged: Settings, own: Settings) -> dict[str, int]:
    """workers, min_workers and max_workers, which have to fit each other and `shared`."""
    if "shared" in merged and not merged["shared"].value:
        for key in ("workers", "min_workers", "max_workers"):
            if key in own and own[key].value > 1:
                reader.report(
                    own[key].place, own[key].key, f"found {own[key].value} with shared = false", ORDER_REASON
                )
        return {"workers": 1, "min_workers": min(1, _value(merged, "min_workers")), "max_workers": 1}
    low, high = _value(merged, "min_workers"), _value(merged, "max_workers")
    if low > high:
        blamed = merged.get("min_workers") or merged["max_workers"]
        reader.report(blamed.place, blamed.key, f"min_workers {low} is above max_workers {high}")
    elif "workers" in merged and not low <= merged["workers"].value <= high:
        blamed = merged["workers"]
        bound = f"below min_workers {low}" if blamed.value < low else f"above max_workers {high}"
        reader.report(blamed.place, blamed.key, f"found {blamed.value}, which is {bound}")
    workers = (
        merged["workers"].value if "workers" in merged else max(low, min(_ROUTE_DEFAULTS["workers"], high))
    )
    return {"workers": workers, "min_workers": low, "max_workers": high}


def _check_dead_letter_topic(reader: Reader, merged: Settings, own: Settings) -> None:
    """It must not come back to its own route; and only dead letters are published there."""
    wanted = merged.get("dead_letter_topic")
    if wanted is None:
        return
    template = merged.get("topic")
    if template is not None and matches(Template.parse(template.value).filter, wanted.value):
        message = f"found {wanted.value!r}, which the route's own topic matches: its letters would come back"
        reader.report(wanted.place, wanted.key, message, "name a topic outside of it")
    on_error = _value(merged, "on_error")
    if "dead_letter_topic" in own and on_error != OnError.DEAD_LETTER:
        message = f'nothing is published there with on_error = "{on_error}"'
        reader.warnings.append(Problem(wanted.place, wanted.key, message))


def _refuse_same_client_ids(reader: Reader, routes: list[RouteConfig], app: AppConfig) -> None:
    """A `-` in names can make two routes' client ids the same; the broker would let only one stay."""
    taken: dict[str, str] = {}
    for route in routes:
        client = f"{route.group}-{app.node}-{route.name}"
        other = taken.setdefault(client, route.name)
        if other != route.name:
            reader.report(
                route.place, f"routes.{route.name}", f"its client ids {client}-1 … are those of {other!r} too"
            )


def _warn_of_same_subscription(reader: Reader, routes: list[RouteConfig]) -> None:
    taken: dict[str, str] = {}
    for route in routes:
        if route.shared:
            subscribed = subscription(Template.parse(route.topic).filter, route.group)
            other = taken.setdefault(subscribed, route.name)
            if other != route.name:
                message = f"has the same subscription as {other!r}: each message reaches only one of the two"
                hint = "give one of them a group of its own"
                place = route.place_of("topic")
                reader.warnings.append(Problem(place, f"routes.{route.name}.topic", message, hint))


def _value(settings: Settings, key: str) -> Any:
    return settings[key].value if key in settings else _ROUTE_DEFAULTS[key]


def _merge(*layers: Settings) -> Settings:
    merged: Settings = {}
    for layer in layers:
        merged |= layer
    return merged


def _values(settings: Settings) -> dict[str, Any]:
    return {key: setting.value for key, setting in settings.items()}


def sort_key(problem: Problem) -> tuple[str, int]:
    place: Place = problem.place
    return str(place.file or ""), place.line or 0
