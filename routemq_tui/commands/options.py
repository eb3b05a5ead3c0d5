"""Options every command that reads the configuration has, and the configuration that follows from them."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from routemq_tui.config.model import THEME_NAMES, Config

DEFAULT_FILE = Path("routemq.toml")

_OVERRIDES = {
    "broker": "broker.url",
    "group": "app.group",
    "node": "app.node",
    "workers": "defaults.workers",
    "log_level": "app.log_level",
    "http": "http.listen",
    "theme": "ui.theme",
    "read_only": "ui.read_only",
    "mouse": "ui.mouse",
    "remember": "ui.remember",
}
"""Attributes of the parsed arguments, and the settings they stand for."""


def add_config_arguments(parser: ArgumentParser) -> None:
    """`-c FILE` and the settings the command line may override."""
    group = parser.add_argument_group("configuration")
    group.add_argument(
        "-c", "--config", type=Path, default=DEFAULT_FILE, metavar="FILE", help="default: routemq.toml"
    )
    group.add_argument(
        "--broker", metavar="URL", help="embedded, mosquitto, or a URL of mqtt://, mqtts://, ws:// or wss://"
    )
    group.add_argument(
        "--group", metavar="NAME", help="the share name of all routes that name none themselves"
    )
    group.add_argument("--node", metavar="NAME", help="this engine's name among those of its group")
    group.add_argument("--workers", type=_count, metavar="N", help="workers of each shared route")
    group.add_argument("--log-level", metavar="LEVEL", help="DEBUG, INFO, WARNING, ERROR or CRITICAL")
    group.add_argument("--no-local", action="store_true", help="do not read routemq.local.toml")


def add_screen_arguments(parser: ArgumentParser) -> None:
    """How the screen looks and what it may do; the same as `[ui]` in the configuration."""
    group = parser.add_argument_group("screen")
    group.add_argument("--theme", metavar="NAME", help=", ".join(THEME_NAMES))
    group.add_argument(
        "--read-only", action="store_const", const=True, help="look only: no key changes workers or messages"
    )
    group.add_argument(
        "--no-mouse", dest="mouse", action="store_const", const=False, help="leave it to the terminal"
    )
    group.add_argument(
        "--no-layout",
        dest="remember",
        action="store_const",
        const=False,
        help="neither use nor keep the remembered columns, order and theme",
    )


def load_from(arguments: Namespace, routes: bool = True) -> Config:
    """The configuration these arguments ask for; raises ConfigError. Without `routes` no router is sought."""
    # Imported here: by then the fork server is on its way.
    from routemq_tui.config.load import load

    overrides = {key: getattr(arguments, name, None) for name, key in _OVERRIDES.items()}
    local = not getattr(arguments, "no_local", False)
    if routes:
        return load(arguments.config, overrides=overrides, local=local)
    return load(arguments.config, overrides=overrides, local=local, discover=None)


def _count(text: str) -> int | str:
    """Left as text when it is no number, so that the configuration's own message says what is allowed."""
    return int(text) if text.isascii() and text.lstrip("-").isdigit() and len(text) < 18 else text
