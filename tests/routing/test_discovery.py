"""Whose a router is, in the ways that applications are laid out, and that a worker finds each route there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from routemq_tui.routing.found import Discovery, discover

MAKER = """
    from routemq_tui import Router
    class AppRouter(Router):
        def __init__(self):
            super().__init__(middleware=[])
    def make_router():
        return Router()
    _one = []
    def the_router():
        _one[:] = _one or [Router()]
        return _one[0]
"""
USES = """
    from {0} import router
    @router.on("{1}/{{id}}")
    def {1}(id): ...
"""
OWN = "from routemq_tui import Router\nrouter = Router()\n"


def written(root: Path, files: dict[str, str]) -> None:
    """`app.devices` is the module of that name, `app.` the package."""
    for name, text in files.items():
        file = root.joinpath(*(part or "__init__" for part in name.split("."))).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text))


def references(found: Discovery) -> list[str]:
    assert found.problems == ()
    return [route.reference for route in found.routes]


def handlers(found: Discovery, root: Path) -> list[str]:
    """What a worker makes of each reference, in a process of its own: the handler and its hooks."""
    program = (
        "import sys; from pathlib import Path; from routemq_tui.routing.declared import load_declared\n"
        "found = load_declared(sys.argv[1], Path(sys.argv[2]))\n"
        "print(*(each.__name__ for each in (found.handler, *found.starting)))"
    )
    return [
        subprocess.run(
            [sys.executable, "-c", program, route.reference, str(root)], capture_output=True, text=True
        ).stdout.strip()
        for route in found.routes
    ]


@pytest.mark.parametrize("how", ["make_router()", "AppRouter()", "the_router()"])
def test_a_router_made_by_another_module_is_that_of_the_caller(tmp_path: Path, how: str) -> None:
    own = f"from .maker import *\nrouter = {how}\nrouter.on('a/{{id}}', print)\n"
    written(tmp_path, {"app.": "", "app.maker": MAKER, "app.a": own})
    found = discover(["app"], tmp_path)
    assert references(found) == ["app.a:router#a"]
    assert handlers(found, tmp_path) == ["print"]


def test_a_router_that_several_modules_share_is_one(tmp_path: Path) -> None:
    # given one module that makes it, and two that declare routes, one of them a hook
    hook = "\n    @router.on_start\n    def opens(): ...\n"
    alarms = USES.format(".shared", "alarms") + hook
    devices = USES.format("app.shared", "devices")
    package = "from .devices import router"
    written(tmp_path, {"app.": package, "app.shared": OWN, "app.devices": devices, "app.alarms": alarms})
    found = discover(["app"], tmp_path)
    # then each route is found by the imports that make it
    assert [(each.reference, len(each.routes)) for each in found.routers] == [("app.shared:router", 2)]
    assert references(found) == [
        "app.shared:router#devices@app.devices,app.shared,app.alarms",
        "app.shared:router#alarms@app.alarms",
    ]
    assert handlers(found, tmp_path) == ["devices opens", "alarms opens"]


def test_a_package_that_passes_on_the_router_of_its_module(tmp_path: Path) -> None:
    devices = f"{OWN}router.on('d', print)\n"
    written(tmp_path, {"app.": "from .devices import router", "app.devices": devices})
    assert references(discover(["app"], tmp_path)) == ["app.devices:router#d"]


def test_a_package_whose_modules_declare_on_its_router(tmp_path: Path) -> None:
    package = f"{OWN}from . import devices\n"
    written(tmp_path, {"app.": package, "app.devices": USES.format("app", "d") + USES.format(".", "e")})
    found = discover(["app"], tmp_path)
    assert [each.reference for each in found.routers] == ["app:router"]
    assert handlers(found, tmp_path) == ["d", "e"]


def test_a_router_of_a_module_that_is_not_looked_at(tmp_path: Path) -> None:
    # given a router outside that is merely imported
    merely = f"{OWN}from app.shared import router as other\nrouter.on('own', print)\n"
    outside = f"{OWN}router.on('outside', print)\n"
    written(tmp_path, {"app.": "", "app.shared": outside, "app.routers.merely": merely})
    assert references(discover(["app.routers"], tmp_path)) == ["app.routers.merely:router#own"]
    # when a module that is looked at declares a route on it
    uses, package = USES.format("app.shared", "used"), "from .uses import router"
    written(tmp_path, {"app.routers.uses": uses, "app.routers.": package})
    found = discover(["app.routers"], tmp_path)
    # then it is one of them, once, with all it has
    assert references(found) == [
        "app.routers.merely:router#own",
        "app.routers.uses:router#outside@app.shared",
        "app.routers.uses:router#used@app.shared",
    ]
    assert handlers(found, tmp_path) == ["print", "print", "used"]


def test_names_with_numbers_are_the_same_in_a_worker(tmp_path: Path) -> None:
    a, b = (USES.format(".shared", "x").replace("def x", f"def {name}") for name in "ab")
    written(tmp_path, {"app.": "", "app.shared": OWN, "app.a": a, "app.b": b})
    found = discover(["app"], tmp_path)
    modules = "@app.a,app.shared,app.b"
    assert references(found) == [
        f"app.shared:router#x{modules}=app.a:a",
        f"app.shared:router#x-2{modules}=app.b:b",
    ]
    assert handlers(found, tmp_path) == ["a", "b"]


LAZY = """
    from routemq_tui import Router
    router = None
    def get_router():
        global router
        router = router or Router()
        return router
"""
ASKS = """
    from app.registry import get_router
    @get_router().on("{0}/{{id}}")
    def {0}(id): ...
"""
TAKES = """
    from app import registry
    @registry.router.on("{0}/{{id}}")
    def {0}(id): ...
"""


@pytest.mark.parametrize("second", [ASKS, TAKES])
def test_a_router_that_is_made_when_it_is_first_asked_for(tmp_path: Path, second: str) -> None:
    alerts, devices = ASKS.format("alerts"), second.format("devices")
    written(tmp_path, {"app.": "", "app.registry": LAZY, "app.alerts": alerts, "app.devices": devices})
    found = discover(["app"], tmp_path)
    assert [each.reference for each in found.routers] == ["app.registry:router"]
    assert handlers(found, tmp_path) == ["alerts", "devices"]


def test_a_module_that_only_imports_has_no_router(tmp_path: Path) -> None:
    written(tmp_path, {"app.shared": OWN, "other.": "from app.shared import router"})
    (problem,) = discover(["other"], tmp_path).problems
    assert problem.reason == "there is no Router in it (looked at other)"


def test_two_thousand_routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("routemq_tui.routing.found.PATIENCE", 20.0)
    many = f"{OWN}for n in range(2_000):\n    router.on(f'many/{{n}}/{{{{id}}}}', print)\n"
    written(tmp_path, {"app.": many})
    assert len(references(discover(["app"], tmp_path))) == 2_000
