"""Routes declared in Python, as an application of RouteMQ's does it."""

from __future__ import annotations

import pytest

from routemq_tui.routing.router import Router, name_of
from routemq_tui.routing.template import TemplateError


def handler(**params: object) -> None:
    """Any."""


def test_which_routes_are_shared() -> None:
    router = Router()
    router.on("sensors/{device_id}/data", handler, shared=True, worker_count=3)
    router.on("alerts/{device_id}", handler)
    assert [route.topic for route in router.routes if route.shared] == ["sensors/{device_id}/data"]


def test_worker_counts_add_up() -> None:
    router = Router()
    router.on("images/{user_id}", handler, shared=True, worker_count=8)
    router.on("events/{user_id}", handler, shared=True, worker_count=4)
    router.on("commands/{device_id}", handler)
    assert router.get_total_workers_needed() == 12


def test_the_subscription_with_and_without_a_group() -> None:
    route = Router().on("sensors/{device_id}/data", handler, shared=True)
    assert route.get_subscription_topic() == "sensors/+/data"
    assert route.get_subscription_topic("test_group") == "$share/test_group/sensors/+/data"
    alone = Router().on("sensors/{device_id}/data", handler)
    assert alone.get_subscription_topic("test_group") == "sensors/+/data"


def test_a_route_may_have_a_group_of_its_own() -> None:
    route = Router().on("a/b", handler, shared=True, group="own")
    assert route.get_subscription_topic("other") == "$share/own/a/b"


def test_a_decorator_declares_and_leaves_the_function_alone() -> None:
    router = Router()

    @router.on("a/{id}", qos=1, retries=3)
    def declared(id: str) -> str:
        return id

    assert declared("x") == "x"
    (route,) = router.routes
    assert (route.handler, route.qos, route.policies) == (declared, 1, {"retries": 3})


def test_groups_add_prefix_and_middleware_from_the_outside_in() -> None:
    router = Router(middleware=["first"])
    with router.group("devices", middleware=["second"]) as devices:
        devices.on("status/{id}", handler)
        with devices.group("/inner/", middleware=["third"]) as inner:
            inner.on("/{id}", handler, middleware=["fourth"])
    assert [route.topic for route in router] == ["devices/status/{id}", "devices/inner/{id}"]
    assert [route.middleware for route in router] == [
        ("first", "second"),
        ("first", "second", "third", "fourth"),
    ]


@pytest.mark.parametrize(
    ("topic", "name"),
    [
        ("sensors/{device_id}/data", "sensors-data"),
        ("/a b/{x:int}", "a-b"),
        ("{a}/{b}", "all"),
        ("#", "all"),
        ("é/${x}", "all"),
    ],
)
def test_names_made_of_topics(topic: str, name: str) -> None:
    assert name_of(topic) == name


def test_names_are_unique() -> None:
    router = Router()
    names = [router.on("a/{id}", handler).name for _ in range(3)]
    assert names == ["a", "a-2", "a-3"]
    with pytest.raises(ValueError, match="'a-2' already"):
        router.on("b", handler, name="a-2")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"topic": "a/{"}, "brace|{"), ({"name": "a b"}, "no name"), ({"group": "a/b"}, "no share name")],
)
def test_what_is_no_route(wrong: dict[str, str], said: str) -> None:
    given = {"topic": "a", **wrong}
    with pytest.raises((ValueError, TemplateError), match=said):
        Router().on(handler=handler, **given)  # type: ignore[arg-type]
