from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from routemq_tui.routing.handler import HandlerImportError, handler_fault, load_handler, location


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A folder of handler modules; what they leave in the interpreter is taken back."""
    modules, path = set(sys.modules), list(sys.path)
    folder = tmp_path / "handlers"
    folder.mkdir()
    (folder / "good.py").write_text(
        "def temperature(payload): return 1\n\n"
        "class Kept:\n"
        "    def method(self, payload): return 2\n"
        "    @staticmethod\n"
        "    def static(payload): return 3\n"
        "kept = Kept()\n"
        "number = 5\n"
        "class Needy:\n"
        "    def __init__(self, pool): self.pool = pool\n"
        "    def method(self, payload): return 4\n"
    )
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("name", "result", "line"),
    [("temperature", 1, 1), ("Kept.static", 3, 5), ("kept.method", 2, 4)],
)
def test_a_handler_is_imported_from_the_project(project: Path, name: str, result: int, line: int) -> None:
    handler = load_handler(f"handlers.good:{name}", project)
    assert handler(None) == result
    assert location(handler, project) == f"handlers/good.py:{line}"
    assert location(functools.partial(handler), project) == f"handlers/good.py:{line}"
    assert sys.path[0] == str(project)


def test_the_projects_folder_wins_over_an_installed_package_of_its_name(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # given a folder without __init__.py, and a real package of the same name further back on the path
    installed = tmp_path_factory.mktemp("installed")
    (installed / "handlers").mkdir()
    for name in ("__init__.py", "good.py"):
        (installed / "handlers" / name).write_text("def temperature(payload): return 'installed'\n")
    sys.path.append(str(installed))
    assert load_handler("handlers.good:temperature", project)(None) == 1


def test_a_handler_from_elsewhere_shows_its_whole_path(project: Path) -> None:
    assert location(load_handler("json:loads", project), project).startswith("/")


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (
            "handlers.good:temprature",
            r"the module 'handlers.good' has no 'temprature'.*did you mean \"temperature\"",
        ),
        ("handlers.good:zzz", r"it has temperature"),
        ("handlers.good:number", "is a int, not a function"),
        ("handlers.good:Kept", r"is a class.*handlers/good.py:3"),
        ("handlers.good:Needy.method", r"Needy cannot be made without arguments: .*\(handlers/good.py:11\)"),
        ("handlers.god:x", r"no module 'handlers.god'.*did you mean \"handlers.good\""),
        ("handler.good:x", r"no module 'handler'.*did you mean \"handlers\""),
        ("handlers.good", "module:function"),
        ("handlers/good.py:temperature", 'dots: "handlers.good:temperature"'),
    ],
)
def test_a_handler_that_is_not_there_says_what_is(project: Path, handler: str, said: str) -> None:
    with pytest.raises(HandlerImportError, match=said):
        load_handler(handler, project)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1\nraise RuntimeError('no\\nway')\n", r"^RuntimeError: no \(handlers/broken.py:2\)$"),
        ("import sys\nsys.exit(3)\n", r"^SystemExit: 3 exits when it is imported \(handlers/broken.py:2\)$"),
        ("def f(:\n", r"^SyntaxError: invalid syntax \(handlers/broken.py:1\)$"),
        ("\nimport nowhere_at_all\n", r"No module named 'nowhere_at_all' \(handlers/broken.py:2\) \(install"),
        ("from handlers.good import nothing\n", r"cannot import name 'nothing'.*\(handlers/broken.py:1\)"),
        (
            "def f():\n    return int('x')\n\nf()\n",
            r"^ValueError: invalid literal.*\(handlers/broken.py:2\)$",
        ),
        ("raise BaseException('odd')\n", r"^BaseException: odd \(handlers/broken.py:1\)$"),
        ("raise MemoryError\n", r"^MemoryError \(handlers/broken.py:1\)$"),
        ("def __getattr__(name):\n    raise OSError(name)\n", r"^OSError: .*\(handlers/broken.py:2\)$"),
        ("\0", r"null bytes.*handlers/broken.py"),
    ],
)
def test_a_module_that_fails_is_one_line_with_file_and_line(project: Path, source: str, said: str) -> None:
    (project / "handlers" / "broken.py").write_text(source)
    with pytest.raises(HandlerImportError, match=said) as caught:
        load_handler("handlers.broken:f2", project)
    assert "\n" not in str(caught.value)


def test_the_form_of_a_handler_is_checked_without_importing() -> None:
    assert handler_fault("a.b:c.d") is None
    assert all(handler_fault(text) for text in ("", ":", "a:", ":b", "a b:c", "a:b-c", "a..b:c"))


def test_a_method_comes_with_an_object_made_once(project: Path) -> None:
    first, second = (load_handler("handlers.good:Kept.method", project) for _ in range(2))
    assert first("x") == 2
    assert first.__self__ is second.__self__  # type: ignore[attr-defined]
