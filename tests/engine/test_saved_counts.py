"""Worker counts kept in `routemq.local.toml`: what is written, what stays, what a start makes of it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from routemq_tui.config.load import ConfigError, load
from routemq_tui.engine.saved_counts import SavedCounts, SaveError

TEXT = """
[routes.jobs]
topic = "jobs/{n}"
handler = "m:f"
workers = 2
max_workers = 8

[routes.orders]
topic = "orders/{n}"
handler = "m:f"

[routes.one]
topic = "one/{n}"
handler = "m:f"
shared = false
"""
AT_FIRST = {"jobs": 2, "orders": 1, "one": 1}


class Saved:
    """A project, and what the next start would make of it."""

    def __init__(self, root: Path) -> None:
        self.file = root / "routemq.toml"
        self.local = root / "routemq.local.toml"
        self.file.write_text(TEXT)

    def save(self, environment: Mapping[str, str] | None = None, **counts: int) -> str:
        config = load(self.file, environment=environment or {})
        before = self.file.read_bytes()
        words = SavedCounts(config).save(AT_FIRST | counts)
        assert self.file.read_bytes() == before
        return words

    def counts(self, local: bool = True) -> dict[str, int]:
        config = load(self.file, environment={}, local=local)
        return {route.name: route.workers for route in config.routes}

    def values(self) -> dict[str, Any]:
        return tomllib.loads(self.local.read_text())


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    return Saved(tmp_path)


def test_what_differs_is_saved_and_the_next_start_has_it(saved: Saved) -> None:
    assert saved.save(jobs=5) == "saved to routemq.local.toml: jobs 5 (the file says 2)"
    assert saved.values() == {"routes": {"jobs": {"workers": 5}}}
    assert saved.counts() == AT_FIRST | {"jobs": 5}
    assert saved.counts(local=False) == AT_FIRST
    # and it says by whom it was written, and how to do without
    assert "--no-local" in saved.local.read_text().splitlines()[0]
    assert saved.local.stat().st_mode & 0o777 == saved.file.stat().st_mode & 0o777


def test_a_count_that_is_the_files_again_is_taken_out(saved: Saved) -> None:
    saved.save(jobs=5, orders=3)
    assert saved.save(orders=3) == "taken out of routemq.local.toml: jobs (the file says 2 too)"
    assert saved.values() == {"routes": {"orders": {"workers": 3}}}
    saved.save()
    assert not saved.local.exists()


def test_nothing_to_save_writes_nothing(saved: Saved) -> None:
    assert saved.save() == "nothing to save: all counts are those of the configuration file"
    assert not saved.local.exists()


def test_all_else_in_the_local_file_stays(saved: Saved) -> None:
    saved.local.write_text(
        '[broker]\nkeepalive = "30s"\n[routes.jobs]\nworkers = 3\nprefetch = 7\n'
        '[routes.more]\ntopic = "more"\nhandler = "m:f"\nworkers = 2\n'
    )
    saved.save(jobs=4, more=2)
    more = {"topic": "more", "handler": "m:f", "workers": 2}
    assert saved.values() == {
        "broker": {"keepalive": "30s"},
        "routes": {"jobs": {"workers": 4, "prefetch": 7}, "more": more},
    }
    saved.save(more=2)
    assert saved.values()["routes"] == {"jobs": {"prefetch": 7}, "more": more}


def test_a_route_that_is_gone_is_warned_of_and_forgotten_at_the_next_save(saved: Saved) -> None:
    saved.local.write_text("[routes.gone]\nworkers = 3\n")
    config = load(saved.file, environment={})
    assert [problem.key for problem in config.warnings] == ["routes.gone"]
    assert saved.save(jobs=3).endswith(
        "taken out of routemq.local.toml: gone (there is no such route any more)"
    )
    assert saved.values() == {"routes": {"jobs": {"workers": 3}}}


@pytest.mark.parametrize(
    ("change", "route", "count"),
    [
        (("max_workers = 8", "max_workers = 4"), "jobs", 4),
        (("max_workers = 8", "max_workers = 20\nmin_workers = 9"), "jobs", 9),
        (("max_workers = 8", "shared = false"), "jobs", 1),
    ],
)
def test_a_saved_count_that_the_limits_refuse_since_is_bounded(
    change: tuple[str, str], route: str, count: int, saved: Saved
) -> None:
    # given a count that was allowed when it was saved
    saved.save(jobs=7)
    # when the file written by hand is changed
    saved.file.write_text(TEXT.replace("workers = 2\n", "").replace(*change))
    config = load(saved.file, environment={})
    # then the nearest count that is allowed is taken, and it is said
    assert {each.name: each.workers for each in config.routes}[route] == count
    (warning,) = config.warnings
    assert f"found 7, which the route's limits do not allow any more: {count} it is" in str(warning)
    assert str(saved.local) in str(warning)


def test_no_worker_at_all_is_not_saved(saved: Saved) -> None:
    assert saved.save(jobs=0, orders=2) == (
        "saved to routemq.local.toml: orders 2 (the file says 1); "
        "jobs is left out: a route starts with at least one worker"
    )
    assert saved.counts()["jobs"] == 2


def test_what_wins_over_the_file_is_told(saved: Saved) -> None:
    words = saved.save({"WORKER_COUNT": "4"}, jobs=5, orders=4)
    assert words.endswith("; but at the next start the environment wins for jobs, as it did at this one")


@pytest.mark.parametrize("text", ["workers = = 3\n", "[routes]\njobs = 3\n", "\xff"])
def test_a_local_file_that_is_broken_is_never_overwritten(saved: Saved, text: str) -> None:
    config = load(saved.file, environment={})
    saved.local.write_text(text, encoding="latin-1")
    with pytest.raises(SaveError, match=r"routemq\.local\.toml"):
        SavedCounts(config).save(AT_FIRST | {"jobs": 5})
    assert saved.local.read_text(encoding="latin-1") == text


@pytest.mark.parametrize("text", ["workers = = 3\n", "[routes.jobs]\nworkers = 0\n", "[nonsense]\n"])
def test_a_start_with_a_broken_local_file_names_it_and_the_way_out(saved: Saved, text: str) -> None:
    saved.local.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(saved.file, environment={})
    assert str(saved.local) in str(caught.value)
    assert "--no-local starts without this file" in str(caught.value)
    assert saved.counts(local=False) == AT_FIRST


def test_a_broken_main_file_changes_nothing(saved: Saved) -> None:
    config = load(saved.file, environment={})
    saved.file.write_text("[routes.jobs]\nworkers = true\n")
    with pytest.raises(SaveError, match=r"routemq\.toml:2"):
        SavedCounts(config).save(AT_FIRST | {"jobs": 5})
    assert not saved.local.exists()


def test_a_link_stays_a_link(saved: Saved, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    saved.local.symlink_to(elsewhere / "counts.toml")
    saved.save(jobs=3)
    assert saved.local.is_symlink()
    assert saved.counts()["jobs"] == 3
