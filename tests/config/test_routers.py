"""`[app] routers`: what is found, what a file may change of it, and what stops a start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from routemq_tui.config.load import ConfigError, load
from routemq_tui.config.model import Config
from routemq_tui.routing import found
from routemq_tui.routing.found import discover
from routemq_tui.worker.main import load_declared

SENSORS = """
from routemq_tui.routing.router import Router

router = Router()
print("said while it is imported")

def stored(device_id, payload):
    return device_id

router.on("sensors/{device_id}/data", stored, qos=1, shared=True, worker_count=3, retries=2)
router.on("alarms/{room}", lambda room: room, name="alarms")
"""
ORDERS = """
from shop.sensors import router as imported
from routemq_tui.routing.router import Router

orders = Router()

@orders.on("orders/{shop}", qos=2)
async def placed(shop):
    return shop
"""
TOML = '[app]\nrouters = ["shop"]\n'


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop" / "deep").mkdir(parents=True)
    (tmp_path / "shop" / "sensors.py").write_text(SENSORS)
    (tmp_path / "shop" / "deep" / "orders.py").write_text(ORDERS)
    return tmp_path


def loaded(root: Path, toml: str = TOML) -> Config:
    (root / "routemq.toml").write_text(toml)
    return load(root / "routemq.toml", environment={})


def problems(root: Path, toml: str = TOML) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(root, toml)
    return str(caught.value).replace(f"{root}/", "").split("\n")


def test_every_router_of_a_package_is_found(shop: Path) -> None:
    config = loaded(shop)
    assert [(router.reference, len(router.routes)) for router in config.routers] == [
        ("shop.deep.orders:orders", 1),
        ("shop.sensors:router", 2),
    ]
    found = {route.name: route for route in config.routes}
    assert set(found) == {"orders", "sensors-data", "alarms"}
    sensors = found["sensors-data"]
    assert (sensors.topic, sensors.qos, sensors.shared, sensors.workers, sensors.retries) == (
        "sensors/{device_id}/data", 1, True, 3, 2)  # fmt: skip
    assert (found["alarms"].shared, found["alarms"].workers, found["alarms"].qos) == (False, 1, 0)
    assert str(sensors.place) == "shop/sensors.py:10"


def test_a_worker_finds_the_very_function(shop: Path) -> None:
    references = {route.name: route.handler for route in loaded(shop).routes}
    program = (
        "import sys; from pathlib import Path; from routemq_tui.routing.declared import load_declared\n"
        f"found = load_declared({references['alarms']!r}, Path(sys.argv[1]))\nprint(found.handler('kitchen'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(shop)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["said", "while", "it", "is", "imported", "kitchen"]
    assert load_declared("os.path:join", shop).handler.__name__ == "join"


def test_a_file_may_change_counts_and_policies(shop: Path) -> None:
    toml = TOML + "[defaults]\nqos = 2\nprefetch = 7\n[routes.sensors-data]\nworkers = 5\nretries = 0\n"
    routes = {route.name: route for route in loaded(shop, toml).routes}
    sensors = routes["sensors-data"]
    assert (sensors.workers, sensors.retries, sensors.prefetch) == (5, 0, 7)
    assert sensors.qos == 1  # said by the router
    assert routes["alarms"].qos == 2  # not said by it


def test_routes_of_the_file_and_of_routers_together(shop: Path) -> None:
    toml = TOML + '[routes.own]\ntopic = "own/{x}"\nhandler = "shop.sensors:stored"\n'
    assert [route.name for route in loaded(shop, toml).routes] == ["own", "orders", "sensors-data", "alarms"]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('topic = "else/{device_id}"', "the router says 'sensors/{device_id}/data' (shop/sensors.py:10)"),
        ('handler = "a:b"', "the router says 'shop.sensors:router#sensors-data'"),
        ("shared = false", "the router says true (shop/sensors.py:10)"),
        ("workers = 99", "which is above max_workers 64"),
    ],
)
def test_a_contradiction_names_both_places(shop: Path, written: str, said: str) -> None:
    (problem,) = problems(shop, f"{TOML}[routes.sensors-data]\n{written}\n")
    assert problem.startswith("routemq.toml:4: routes.sensors-data.")
    assert said in problem


def test_a_count_for_a_route_that_is_not_shared(shop: Path) -> None:
    (problem,) = problems(shop, f"{TOML}[routes.alarms]\nworkers = 2\n")
    assert "routes.alarms.workers: found 2 with shared = false" in problem


def test_a_name_that_no_router_has(shop: Path) -> None:
    found = problems(shop, f"{TOML}[routes.sensor-data]\nworkers = 2\n")
    assert any("routes.sensor-data.topic: is missing" in line for line in found)


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("import nothing_there", "no module named 'nothing_there'"),
        ("1 / 0", "ZeroDivisionError: division by zero (shop/bad.py:1)"),
        ("def f(:", "SyntaxError"),
        ("import os; os._exit(7)", "exited with code 7"),
        ("import os; print('last words'); os.abort()", "was killed by a signal"),
        ("from shop.sensors import router\nrouter.on('a/{', router)", "(shop/bad.py:2)"),
    ],
)
def test_an_import_that_fails_stops_the_start(shop: Path, module: str, said: str) -> None:
    (shop / "shop" / "bad.py").write_text(module)
    (problem,) = problems(shop)
    assert problem.startswith("routemq.toml:2: app.routers: shop: ")
    assert said.lower() in problem.lower()


def test_an_import_that_does_not_end(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(found, "PATIENCE", 0.5)
    (shop / "shop" / "bad.py").write_text("import time\ntime.sleep(60)")
    (problem,) = problems(shop)
    assert "importing did not end within 0.5 s" in problem


def test_a_package_without_a_router(shop: Path) -> None:
    (shop / "empty").mkdir()
    (shop / "empty" / "nothing.py").write_text("x = 1")
    (problem,) = problems(shop, '[app]\nrouters = ["empty"]\n')
    assert "there is no Router in it (looked at empty, empty.nothing)" in problem


@pytest.mark.parametrize(
    ("name", "said"), [("nowhere", "no module 'nowhere'"), ("app/routers", "app.routers")]
)
def test_a_package_that_is_none(shop: Path, name: str, said: str) -> None:
    assert said in " ".join(problems(shop, f'[app]\nrouters = ["{name}"]\n'))


def test_what_on_does_not_know(shop: Path) -> None:
    (shop / "shop" / "sensors.py").write_text(
        "from routemq_tui.routing.router import Router\nr = Router()\n"
        "r.on('a', print, retrys=3, timeout='x')\n"
    )
    (shop / "shop" / "deep" / "orders.py").unlink()
    first, second = problems(shop)
    assert first.startswith('shop/sensors.py:3: a: retrys: unknown argument (did you mean "retries"?)')
    assert second.startswith('shop/sensors.py:3: a: timeout: found the text "x"')


def test_two_routers_with_the_same_topic(shop: Path) -> None:
    (shop / "shop" / "more.py").write_text(SENSORS.replace(', name="alarms"', ""))
    names = [route.name for route in loaded(shop).routes]
    assert names == ["orders", "sensors-data", "alarms-2", "sensors-data-2", "alarms"]
    (shop / "shop" / "more.py").write_text(SENSORS)
    (problem,) = problems(shop)
    assert "'alarms' is the name of the route in shop/more.py:11 too" in problem


def test_nothing_is_imported_here(shop: Path) -> None:
    loaded(shop)
    assert not {name for name in sys.modules if name.split(".")[0] == "shop"}
    assert [route.name for route in discover(["shop.sensors"], shop).routes] == ["sensors-data", "alarms"]
