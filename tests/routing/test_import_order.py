"""A worker gets the handler that discovery saw, though numbers in names go by the order of imports."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routemq_tui.routing.declared import load_bound, load_declared
from routemq_tui.routing.found import discover
from routemq_tui.routing.handler import HandlerImportError
from routemq_tui.routing.template import Template
from tests.routing.test_discovery import OWN, handlers, written

A = "from app.shared import router\n@router.on('room/{id}/temp')\ndef of_a(id): ...\n"
B = """
    from app.shared import router
    @router.on_start
    def opens(): ...
    @router.on('room/temp/{id}')
    def of_b(id): ...
"""
ROOMS = {"app.": "", "app.shared": OWN, "app.a": A, "app.b": B}
BOUND = """
import sys; from pathlib import Path; from routemq_tui.routing.declared import load_bound
from routemq_tui.routing.template import Template
for reference, topic in zip(*[iter(sys.argv[2:])] * 2):
    print(load_bound(reference, Template.parse(topic), Path(sys.argv[1]), (), ()).location)
"""


def bound_together(root: Path, *references: tuple[str, str]) -> list[str]:
    """Where the handlers are written that one process finds, as `check` looks for them."""
    arguments = [each for pair in references for each in pair]
    done = subprocess.run(
        [sys.executable, "-c", BOUND, str(root), *arguments], capture_output=True, text=True
    )
    return (done.stdout or done.stderr).split("\n")[:-1]


def test_a_hook_does_not_swap_the_handlers_of_routes(tmp_path: Path) -> None:
    written(tmp_path, ROOMS)
    found = discover(["app"], tmp_path)
    assert [route.name for route in found.routes] == ["room-temp", "room-temp-2"]
    assert handlers(found, tmp_path) == ["of_a opens", "of_b opens"]


def test_imports_that_lead_to_a_route_are_made_again(tmp_path: Path) -> None:
    # given a module with no routes whose import decides which of two comes first
    circle = (
        "import app.first\nfrom app.shared import router\n@router.on('room/{id}/temp')\ndef of_b(id): ...\n"
    )
    leads = "import app.b\nimport app.a\n"
    written(tmp_path, {**ROOMS, "app.b": circle, "app.first": leads})
    found = discover(["app.first", "app"], tmp_path)
    assert [route.handler for route in found.routes] == ["app/b.py:3", "app/a.py:2"]
    assert handlers(found, tmp_path) == ["of_b", "of_a"]


def test_a_module_that_comes_earlier_in_a_worker_cannot_swap_them(tmp_path: Path) -> None:
    # given a module that imports the others in another order when it is in a worker
    written(tmp_path, ROOMS)
    first, second = discover(["app"], tmp_path).routes
    written(tmp_path, {"app.": "import app.b\n"})
    # then the route is refused, in words
    assert bound_here(tmp_path, first.reference).endswith(
        "HandlerImportError: the route 'room-temp' has the handler app.b:of_b here (app/b.py:5), and had "
        "app.a:of_a when the routes were read (its name goes by the order of imports: give it one of its "
        'own, router.on(..., name="..."))'
    )
    # but a check, which imports for all routes in one process, finds each by what it was
    pairs = [(each.reference, each.topic) for each in (second, first)]
    assert bound_together(tmp_path, *pairs) == ["app/b.py:5", "app/a.py:2"]


def bound_here(root: Path, reference: str) -> str:
    program = (
        "import sys; from pathlib import Path; from routemq_tui.routing.declared import load_declared\n"
        "load_declared(sys.argv[1], Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", program, reference, str(root)]
    return subprocess.run(command, capture_output=True, text=True).stderr.strip()


@pytest.mark.parametrize(
    ("name", "hint"),
    [('"r"', "does it depend on something"), ("None", "give it one of its own")],
)
def test_a_route_of_another_topic_is_refused(tmp_path: Path, name: str, hint: str) -> None:
    module = f"topic_of_{len(name)}"
    written(tmp_path, {module: f"{OWN}router.on('r/{{id}}', lambda id: id, name={name})\n"})
    reference = f"{module}:router#r"
    assert load_declared(reference, tmp_path).handler("7") == "7"
    with pytest.raises(
        HandlerImportError, match=r"'r' is for 'r/\{id\}' here .* was for 'r/\{other\}'"
    ) as said:
        load_bound(reference, Template.parse("r/{other}"), tmp_path, (), ())
    assert hint in said.value.hint


TOPICS = ["t/{id}/x", "t/x/{id}", "{id}/t/x", "t/x", "other/{id}"]
"""All but the last make the same name."""
FORKED = '''
import json, os, sys, traceback
from pathlib import Path
from routemq_tui.routing.declared import bind_declared, load_declared
from routemq_tui.routing.discovery import discover_here
from routemq_tui.routing.handler import location
from routemq_tui.routing.template import Template

sys.dont_write_bytecode = True


def apart(work, *given):
    """In a process that has imported nothing of the project."""
    reading, writing = os.pipe()
    if not os.fork():
        try:
            said = work(*given)
        except BaseException:
            said = traceback.format_exc()
        os.write(writing, json.dumps(said).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        said = json.load(answer)
    os.wait()
    return said


def seen(root):
    found = discover_here(["app"], root)
    problems = [each.reason for each in found.problems]
    return problems, [(each.reference, each.topic, each.handler) for each in found.routes]


def loaded(root, reference, topic):
    declared = load_declared(reference, root)
    bind_declared(declared, Template.parse(topic), root)
    return location(declared.handler, root)


for line in sys.stdin:
    root = Path(line.strip())
    problems, routes = apart(seen, root)
    got = [apart(loaded, root, reference, topic) for reference, topic, _ in routes]
    print(json.dumps([problems, routes, got]), flush=True)
'''


class Forked:
    """A process that forks one for each discovery and each worker."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", FORKED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, root: Path) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{root}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def forked() -> Iterator[Forked]:
    process = Forked()
    yield process
    process.close()


@st.composite
def packages(draw: st.DrawFn) -> dict[str, str]:
    """Modules that share one or two routers, import each other and declare under names that collide."""
    count = draw(st.integers(2, 5))
    makers = draw(st.integers(1, 2))
    modules = [f"m{number}" for number in range(count)]
    names = draw(st.permutations([*modules, *(f"r{number}" for number in range(makers))]))
    # Names are drawn, so that the modules with the routers come anywhere in the order.
    called = dict(zip([*modules, *(f"r{number}" for number in range(makers))], "abcdefg", strict=False))
    called = {name: called[other] for name, other in zip(called, names, strict=True)}
    files = {"app.": draw(st.sampled_from(["", *(f"import app.{called[each]}\n" for each in modules)]))}
    for number in range(makers):
        lazy = draw(st.booleans())
        after = draw(st.lists(st.sampled_from(modules), max_size=2, unique=True))
        files[f"app.{called[f'r{number}']}"] = router_module(lazy, [called[each] for each in after])
    for module in modules:
        lines = []
        for step in range(draw(st.integers(0, 4))):
            router = f"__import__('app.{called[f'r{draw(st.integers(0, makers - 1))}']}', fromlist='x').get()"
            lines.append(draw_step(draw, router, step, [called[each] for each in modules]))
        files[f"app.{called[module]}"] = "\n".join(lines) + "\n"
    return files


def router_module(lazy: bool, after: list[str]) -> str:
    made = "None" if lazy else "Router()"
    get = "def get():\n    global router\n    router = router or Router()\n    return router\n"
    imports = "".join(f"import app.{each}\n" for each in after)
    return f"from routemq_tui import Router\nrouter = {made}\n{get}{imports}"


def draw_step(draw: st.DrawFn, router: str, step: int, modules: list[str]) -> str:
    kind = draw(st.sampled_from(["route", "route", "group", "hook", "import"]))
    if kind == "import":
        return f"import app.{draw(st.sampled_from(modules))}"
    if kind == "hook":
        return f"{router}.{draw(st.sampled_from(['on_start', 'on_stop']))}(lambda: None)"
    topic = draw(st.sampled_from(TOPICS))
    handler = draw(st.sampled_from([f"lambda message: {step}", "def"]))
    on = f"{router}.on({topic!r}"
    if kind == "group":
        prefix, rest = topic.split("/", 1)
        on = f"{router}.group({prefix!r}).on({rest!r}"
    if handler == "def":
        return f"@{on})\ndef h{step}(message): ..."
    return f"{on}, {handler})"


@settings(max_examples=60)
@given(files=packages())
def test_a_fresh_process_loads_what_discovery_saw(forked: Forked, files: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        written(Path(folder), files)
        problems, routes, got = forked.ask(Path(folder).resolve())
    assert [each for each in problems if not each.startswith("there is no Router")] == []
    assert got == [handler for _, _, handler in routes], [reference for reference, _, _ in routes]
