"""Writes the pages that are made from the program itself: its settings, keys and commands.

.venv/bin/python docs/generate.py            # writes configuration.md, keys.md and commands.md
.venv/bin/python docs/generate.py --check    # ends with 1 when one of them is not as it would be written
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from routemq_tui.cli import COMMANDS, load_command
from routemq_tui.config import model, schema
from routemq_tui.config.environment import VARIABLES
from routemq_tui.config.schema import Section
from routemq_tui.tui.dialog_keys import PLACED_KEYS, Place
from routemq_tui.tui.keymap import KeyNames
from routemq_tui.tui.keys import KEYS, Group

HERE = Path(__file__).parent
MADE = "<!-- Made by docs/generate.py from the program itself: change it there. -->\n"


@dataclass(frozen=True)
class Table:
    """A table of `routemq.toml`: its name, its schema, the values it becomes, and what to say of it."""

    name: str
    section: Section
    values: tuple[type, ...]
    text: str


TABLES = (
    Table("[app]", schema.APP, (model.AppConfig,), "The program and all of its workers."),
    Table(
        "[broker]",
        schema.BROKER,
        (model.BrokerConfig, model.TlsConfig),
        "Which broker, and how to reach it.",
    ),
    Table("[defaults]", schema.DEFAULTS, (model.RouteConfig,), "What routes have unless they say otherwise."),
    Table(
        "[routes.NAME]",
        schema.ROUTE,
        (model.RouteConfig,),
        "A route. One that a router declares needs neither topic nor handler here: the other keys change it.",
    ),
    Table(
        "[routes.NAME.limits]",
        schema.LIMITS,
        (model.Limits,),
        "Bounds of one worker; also `[defaults.limits]`.",
    ),
    Table(
        "[routes.NAME.scaling]",
        schema.SCALING,
        (model.ScalingConfig,),
        "How a route with `autoscale = true` scales, also `[defaults.scaling]`: [autoscale](autoscale.md).",
    ),
    Table("[[traffic]]", schema.TRAFFIC, (model.TrafficConfig,), "Example traffic while the program runs."),
    Table("[traffic.burst]", schema.BURST, (model.Burst,), "Messages on top of the steady rate."),
    Table("[http]", schema.HTTP, (model.HttpConfig,), "Probes and metrics, for any front end."),
    Table("[ui]", schema.UI, (model.UiConfig,), "The screen."),
)


def configuration() -> str:
    parts = [
        f"# Configuration\n\n{MADE}",
        "`routemq.toml` lies in the folder of a project; handlers are imported from there. What is\n"
        "stronger wins: the command line, then the environment (also from `.env`), then\n"
        "`routemq.local.toml`, which the program itself writes, then `routemq.toml`.\n"
        "`routemq-tui check` tells every mistake with file, line and key.\n",
    ]
    for table in TABLES:
        parts.append(f"## `{table.name}`\n\n{table.text}\n\n{_settings(table)}")
    parts.append(f"## `[ui.keys]`\n\nOther keys, by the ids of [keys](keys.md): {schema.UI_KEY.allowed}.\n")
    parts.append(f"## Environment\n\n{_variables()}")
    return "\n".join(parts)


def _settings(table: Table) -> str:
    explained = {name: text for each in table.values for name, text in _docstrings(each).items()}
    defaults = {name: text for each in table.values for name, text in _defaults(each).items()}
    rows = ["| key | value | default | |", "| --- | --- | --- | --- |"]
    for key, kind in table.section.keys.items():
        default = "must be there" if key in table.section.required else defaults.get(key, "")
        text = explained.get(key) or FURTHER.get(key, "")
        if not text:
            raise SystemExit(
                f"{table.name} {key} is not explained: write a docstring under it in config/model.py"
            )
        rows.append(f"| `{key}` | {_cell(kind.allowed)} | {_cell(default)} | {_cell(text)} |")
    return "\n".join(rows) + "\n"


FURTHER = {
    "password_file": "A file whose first line is the password, relative to the project.",
    "key_password_file": "A file whose first line is the password of `key_file`.",
}
"""Settings that become part of another value."""


def _docstrings(value: type) -> dict[str, str]:
    """What stands under each field of a dataclass."""
    body = ast.parse(inspect.getsource(value)).body[0]
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    for before, after in zip(body.body, body.body[1:], strict=False):
        if not isinstance(before, ast.AnnAssign) or not isinstance(before.target, ast.Name):
            continue
        if (
            isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        ):
            found[before.target.id] = re.sub(r"\s+", " ", after.value.value).strip()
    return found


def _defaults(value: type) -> dict[str, str]:
    found = {}
    for each in fields(value):
        default: Any = each.default if each.default_factory is MISSING else each.default_factory()
        if default is not MISSING:
            found[each.name] = _shown(default)
    return found


def _shown(value: Any) -> str:
    match value:
        case None | "" | () | {}:
            return "none"
        case bool():
            return f"`{str(value).lower()}`"
        case int() | float():
            return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"
        case str():
            return f'`"{value}"`'
    return ""


PARTS = {
    "url_port": "the port of `broker.url`",
    "url_tls": "`true`: `mqtts` or `wss` in `broker.url`, on port 8883 or 443 unless one is named",
}
"""Variables that stand for a part of a setting."""


def _variables() -> str:
    rows = ["| variable | setting |", "| --- | --- |"]
    for name, variable in VARIABLES.items():
        setting = PARTS.get(variable.key, f"`{variable.section}.{variable.key}`")
        rows.append(f"| `{name}` | {setting} |")
    return "\n".join(rows) + "\n"


def keys() -> str:
    names = KeyNames()
    parts = [
        f"# Keys\n\n{MADE}",
        "All of them are in the palette (`:`), and each can be another one: `[ui.keys]` in\n"
        "`routemq.toml` names it by its id. `routemq-tui check --keys` lists them as they are bound;\n"
        "`check` tells of keys used twice.\n",
    ]
    for group in Group:
        rows = ["| key | id | |", "| --- | --- | --- |"]
        rows += [
            f"| {_key(key.shown)} | `{key.id}` | {_cell(names.help_of(key))} |"
            for key in KEYS
            if key.group is group
        ]
        parts.append(f"## {group}\n\n" + "\n".join(rows) + "\n")
    for place in Place:
        own = [key for key in PLACED_KEYS[place] if not any(key.id == main.id for main in KEYS)]
        if own:
            rows = ["| keys | id | |", "| --- | --- | --- |"]
            rows += [
                f"| {_key(key.keys.replace(',', ' '))} | `{key.id}` | {_cell(key.label)} |" for key in own
            ]
            parts.append(f"## In {place}\n\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _key(text: str) -> str:
    return " ".join(f"`{part}`" if "|" not in part else "`\\|`" for part in text.split())


def commands() -> str:
    parts = [
        f"# Commands\n\n{MADE}",
        "`routemq-tui COMMAND --help` says the same. Without a command it is `run`.\n",
    ]
    for name in COMMANDS:
        command = load_command(name)
        parser = argparse.ArgumentParser(prog=f"routemq-tui {name}", allow_abbrev=False)
        command.add_arguments(parser)
        parts.append(f"## `routemq-tui {name}`\n\n{_sentence(command.HELP)}\n\n{_options(parser)}")
    return "\n".join(parts)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _options(parser: argparse.ArgumentParser) -> str:
    rows = ["| | |", "| --- | --- |"]
    verbs: list[tuple[str, argparse.ArgumentParser, str]] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {each.dest: each.help or "" for each in action._choices_actions}
            verbs += [(name, inner, helps.get(name, "")) for name, inner in action.choices.items()]
        elif not isinstance(action, argparse._HelpAction):
            rows.append(f"| {_action(action)} | {_cell(_help_of(action))} |")
    text = "\n".join(rows) + "\n" if len(rows) > 2 else ""
    for name, inner, said in verbs:
        text += f"\n### `{parser.prog.removeprefix('routemq-tui ')} {name}`\n\n{_sentence(said)}\n"
        own = _options(inner)
        text += f"\n{own}" if own else ""
    return text


def _action(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
    if not action.option_strings:
        return f"`{action.metavar or action.dest}`"
    return f"`{', '.join(action.option_strings)}{value}`"


def _help_of(action: argparse.Action) -> str:
    text = action.help or ""
    if action.choices and not any(str(each) in text for each in action.choices):
        text += f" ({', '.join(map(str, action.choices))})"
    return text.replace("%(default)s", str(action.default)).replace("%%", "%")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


PAGES = {"configuration.md": configuration, "keys.md": keys, "commands.md": commands}


def stale() -> Iterator[str]:
    """The pages that are not as they would be written now."""
    for name, make in PAGES.items():
        file = HERE / name
        if not file.exists() or file.read_text("utf-8") != make():
            yield name


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    if parser.parse_args().check:
        old = list(stale())
        print("\n".join(f"docs/{name} is stale" for name in old), file=sys.stderr)
        return 1 if old else 0
    for name, make in PAGES.items():
        (HERE / name).write_text(make(), "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
