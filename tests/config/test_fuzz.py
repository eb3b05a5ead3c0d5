"""Whatever stands in a file or a variable, loading gives a Config or a ConfigError with places."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import example, given
from hypothesis import strategies as st

from routemq_tui.config import schema
from routemq_tui.config.environment import VARIABLES
from routemq_tui.config.load import ConfigError, load
from tests.config.test_load import FULL

KEYS = st.sampled_from(
    sorted(
        {
            *schema.ROUTE.keys,
            *schema.APP.keys,
            *schema.BROKER.keys,
            *schema.TRAFFIC.keys,
            "limits",
            "burst",
            "x y",
        }
    )
)
WORDS = st.sampled_from(
    ["5", "-1", "nan", "9" * 400 + "s", "9" * 400, "1e9d", "mqtt://", "a:b", "{", "true", "../.."]
)
VALUES = st.recursive(
    st.integers() | st.floats() | st.booleans() | st.text(max_size=8) | WORDS | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=8,
)
SECTIONS = st.sampled_from(["app", "broker", "defaults", "routes", "traffic", "limits", "ui", "keys"])


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def load_or_tell(folder: Path, raw: bytes, environment: dict[str, str] | None = None) -> None:
    file = folder / "routemq.toml"
    file.write_bytes(raw)
    config, problems = None, ()
    try:
        config = load(file, environment=environment or {})
    except ConfigError as error:
        problems = error.problems
    assert bool(config) is not bool(problems)
    lines = raw.count(b"\n") + 1
    for problem in problems:
        assert problem.message
        assert str(problem).isprintable()
        assert problem.place.line is None or 1 <= problem.place.line <= lines


@given(
    edits=st.lists(
        st.tuples(st.integers(0, len(FULL)), st.integers(0, 12), st.text("\"'[]{}=#.\n\\a1-", max_size=6)),
        min_size=1,
        max_size=3,
    )
)
def test_a_file_with_any_edits(folder: Path, edits: list[tuple[int, int, str]]) -> None:
    text = FULL
    for start, length, inserted in edits:
        text = text[:start] + inserted + text[start + length :]
    load_or_tell(folder, text.encode())


@given(document=st.dictionaries(SECTIONS, VALUES | st.dictionaries(KEYS, VALUES, max_size=5), max_size=5))
def test_a_file_of_any_values(folder: Path, document: dict[str, Any]) -> None:
    load_or_tell(folder, tomli_w.dumps(document).encode())


@given(
    table=st.dictionaries(KEYS, VALUES, max_size=6), section=st.sampled_from(["app", "broker", "defaults"])
)
def test_a_section_of_any_values(folder: Path, table: dict[str, Any], section: str) -> None:
    load_or_tell(folder, tomli_w.dumps({section: table, "routes": {"a": table}, "traffic": [table]}).encode())


@given(raw=st.binary(max_size=80))
@example(raw=b"a = " + b"[" * 5000)
@example(raw=b"a = " + b"9" * 5000)
@example(raw=b"[broker]\nkeepalive = " + b"9" * 500)
@example(raw=b"[app]\nlog_memory = '" + b"9" * 500 + b"'")
@example(raw=b'[broker]\npassword_file = "\\u0000"')
@example(raw=b'[broker]\nurl = "mqtt://[::1"')
@example(raw=b'"\\u001b[31m" = 1')
@example(raw=b"a = '\x1b")
def test_a_file_of_any_bytes(folder: Path, raw: bytes) -> None:
    load_or_tell(folder, raw)


@given(
    environment=st.dictionaries(st.sampled_from(sorted(VARIABLES)), st.text(max_size=8) | WORDS, max_size=5)
)
def test_any_environment(folder: Path, environment: dict[str, str]) -> None:
    load_or_tell(folder, FULL.encode(), environment)
