from __future__ import annotations

import socket
from pathlib import Path

import pytest

from routemq_tui.config.load import ConfigError, load
from routemq_tui.config.model import (
    AppConfig,
    BrokerConfig,
    Burst,
    Limits,
    OnError,
    Place,
    RouteConfig,
    ScalingConfig,
    ScalingPolicy,
)
from tests.config.project import ROUTE, loaded, problems, write

FULL = """
[app]
group = "plant"
node = "north"
log_level = "debug"
shutdown_timeout = "5s"
log_memory = "16MiB"

[broker]
url = "mqtts://reader@broker.example"
protocol = "3.1.1"
keepalive = "30s"
session_expiry = "1h"

[defaults]
qos = 1
prefetch = 5
limits = { open_files = 1024 }

[routes.temperature]
topic = "sensors/{device_id}/temperature"
handler = "checked.sensors:temperature"
workers = 3
on_error = "drop"
limits.memory = "512MB"

[routes.order]
topic = "orders/#"
handler = "checked.sensors:waits"
group = "own"
shared = false
qos = 2
concurrency = 4

[[traffic]]
topic = "sensors/{device_id}/temperature"
rate = 2.5
payload = { value = "{n}" }
values = { device_id = ["a", "b"], n = "1..9" }
burst = { every = "10s", size = 100 }
"""


def test_a_whole_file_becomes_values(tmp_path: Path) -> None:
    config = loaded(tmp_path, FULL)
    file = tmp_path / "routemq.toml"
    assert (config.root, config.file) == (tmp_path, file)
    assert config.app == AppConfig(
        "plant", "north", log_level="DEBUG", shutdown_timeout=5, log_memory=16 * 2**20
    )
    assert config.broker == BrokerConfig("mqtts://broker.example:8883", "3.1.1", "reader", None, 30, 3600)
    assert config.routes == (
        RouteConfig(
            "temperature",
            "sensors/{device_id}/temperature",
            "checked.sensors:temperature",
            "plant",
            qos=1,
            workers=3,
            prefetch=5,
            on_error=OnError.DROP,
            limits=Limits(512_000_000, None, 1024),
            place=Place(file, 19),
        ),
        RouteConfig(
            "order",
            "orders/#",
            "checked.sensors:waits",
            "own",
            qos=2,
            shared=False,
            max_workers=1,
            prefetch=5,
            concurrency=4,
            limits=Limits(open_files=1024),
            place=Place(file, 26),
        ),
    )
    traffic = config.traffic[0]
    assert (traffic.rate, traffic.payload, traffic.burst) == (2.5, {"value": "{n}"}, Burst(10, 100))
    assert traffic.values == {"device_id": ["a", "b"], "n": "1..9"}
    assert config.routes[0].place_of("qos") == Place(file, 15)


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    config = loaded(tmp_path, "")
    assert (config.app, config.broker, config.routes) == (AppConfig(), BrokerConfig(), ())


def test_autoscale_is_read_with_its_defaults_and_exceptions(tmp_path: Path) -> None:
    other = ROUTE.replace("routes.temperature", "routes.other").replace("/temperature", "/other", 1)
    third = other.replace("other", "orders")
    text = (
        "[defaults]\nautoscale = true\nmax_workers = 6\n"
        '[defaults.scaling]\ninterval = "10s"\nstep = 3\n'
        + ROUTE
        + 'min_workers = 2\n[routes.temperature.scaling]\npolicy = "rate"\nper_worker = 50\nstep = 1\n'
        + other
        + "autoscale = false\n"
        + third
        + "shared = false\n"
    )
    config = loaded(tmp_path, text)
    first, second, alone = config.routes
    assert (first.autoscale, first.min_workers, first.max_workers) == (True, 2, 6)
    assert first.scaling == ScalingConfig(ScalingPolicy.RATE, per_worker=50.0, interval=10.0, step=1)
    assert (second.autoscale, second.scaling) == (False, ScalingConfig(interval=10.0, step=3))
    assert alone.autoscale is False  # the defaults are for routes that can be scaled
    assert config.warnings == ()


def test_autoscale_settings_that_do_nothing_or_much_are_warned_of(tmp_path: Path) -> None:
    text = ROUTE + 'autoscale = true\n[routes.temperature.scaling]\npolicy = "rate"\ntarget = 0.5\n'
    warnings = {
        each.key: (each.place.line, each.message, each.hint) for each in loaded(tmp_path, text).warnings
    }
    assert warnings == {
        "routes.temperature.autoscale": (4, "may start up to 64 workers of this route", "set max_workers"),
        "routes.temperature.scaling.target": (7, 'has no effect with policy = "rate"', ""),
    }


def test_a_failure_policy_is_read_whole(tmp_path: Path) -> None:
    text = (
        '[defaults]\nretry_delay = "2s"\ndead_letter_topic = "dead/letters"\n'
        + ROUTE
        + "retries = 3\nmax_deliveries = 5\n"
        + ROUTE.replace("routes.temperature", "routes.other").replace("/temperature", "/other", 1)
        + 'on_error = "drop"\n'
    )
    config = loaded(tmp_path, text)
    first, second = config.routes
    assert (first.retries, first.retry_delay, first.max_deliveries) == (3, 2.0, 5)
    assert (second.retries, second.retry_delay, second.max_deliveries) == (0, 2.0, 3)
    assert (first.dead_letter_topic, second.dead_letter_topic) == ("dead/letters", "dead/letters")
    assert config.warnings == ()


def test_a_dead_letter_topic_without_dead_letters_is_warned_of(tmp_path: Path) -> None:
    text = ROUTE + 'on_error = "drop"\ndead_letter_topic = "dead/letters"\n'
    [warning] = loaded(tmp_path, text).warnings
    assert warning.key == "routes.temperature.dead_letter_topic"
    assert 'on_error = "drop"' in warning.message


def test_routes_with_one_subscription_are_warned_of(tmp_path: Path) -> None:
    same = ROUTE + ROUTE.replace("routes.temperature", "routes.copy")
    assert "only one of the two" in str(loaded(tmp_path, same).warnings[0])
    assert loaded(tmp_path, same + 'group = "own"\n').warnings == ()


def test_workers_follow_their_bounds_unless_they_are_written(tmp_path: Path) -> None:
    assert loaded(tmp_path, ROUTE + "min_workers = 4\n").routes[0].workers == 4
    assert loaded(tmp_path, "[defaults]\nworkers = 5\n" + ROUTE + "shared = false\n").routes[0].workers == 1


# -- precedence -----------------------------------------------------------------------------------------


def test_the_local_file_wins_over_the_main_one(tmp_path: Path) -> None:
    write(tmp_path, '[app]\ngroup = "mine"\n[routes.temperature]\nworkers = 7\n', "routemq.local.toml")
    text = '[app]\ngroup = "g"\nnode = "n"\n' + ROUTE + "workers = 2\n"
    config = loaded(tmp_path, text)
    assert (config.app.group, config.app.node, config.routes[0].workers) == ("mine", "n", 7)
    assert config.routes[0].group == "mine"
    config = loaded(tmp_path, text, local=False)
    assert (config.app.group, config.routes[0].workers) == ("g", 2)


@pytest.mark.parametrize(
    ("main", "local", "said"),
    [
        (
            "workers = 3",
            "workers = 5",
            "temperature: 5 workers from routemq.local.toml (routemq.toml says 3)",
        ),
        ("", "workers = 5", "temperature: 5 workers from routemq.local.toml (1 by default)"),
        ("workers = 3", "workers = 1", "temperature: 1 worker from routemq.local.toml (routemq.toml says 3)"),
        ("workers = 3", "workers = 3", None),
        ("workers = 3", "prefetch = 3", None),
    ],
)
def test_a_count_of_the_local_file_is_told(tmp_path: Path, main: str, local: str, said: str | None) -> None:
    write(tmp_path, f"[routes.temperature]\n{local}\n", "routemq.local.toml")
    assert loaded(tmp_path, ROUTE + main).overlaid == ((said,) if said else ())
    assert loaded(tmp_path, ROUTE + main, local=False).overlaid == ()
    assert loaded(tmp_path, ROUTE + main, overrides={"defaults.workers": 7}).overlaid == ()


def test_a_route_left_over_in_the_local_file_is_ignored_with_a_warning(tmp_path: Path) -> None:
    write(tmp_path, "[routes.temprature]\nworkers = 7\n", "routemq.local.toml")
    config = loaded(tmp_path)
    assert [route.name for route in config.routes] == ["temperature"]
    assert 'did you mean "temperature"?' in str(config.warnings[0])


def test_problems_of_both_files_come_together(tmp_path: Path) -> None:
    write(tmp_path, "[routes.temperature]\nworkers = -1\n", "routemq.local.toml")
    found = problems(tmp_path, ROUTE + "qos = 5\n")
    assert [(each.place.file.name, each.place.line) for each in found if each.place.file] == [
        ("routemq.local.toml", 2),
        ("routemq.toml", 4),
    ]


def test_the_environment_wins_over_files_and_the_command_line_over_it(tmp_path: Path) -> None:
    text = '[app]\ngroup = "g"\n[broker]\nurl = "mqtt://a:1"\n' + ROUTE + "workers = 2\n"
    text += '[routes.order]\ntopic = "o"\nhandler = "a:b"\nshared = false\n'
    environment = {
        "MQTT_BROKER": "mosquitto",
        "MQTT_PORT": "1999",
        "MQTT_USERNAME": "7",
        "MQTT_PASSWORD": "secret",
        "MQTT_GROUP_NAME": "env",
        "WORKER_COUNT": "4",
        "MIN_WORKERS": "2",
        "MAX_WORKERS": "8",
        "LOG_LEVEL": "warning",
    }
    config = loaded(tmp_path, text, environment)
    assert config.broker == BrokerConfig("mqtt://mosquitto:1999", username="7", password="secret")
    assert (config.app.group, config.app.log_level) == ("env", "WARNING")
    shared, single = config.routes
    assert (shared.workers, shared.min_workers, shared.max_workers) == (4, 2, 8)
    assert (single.workers, single.max_workers) == (1, 1)
    overrides = {"broker.url": "mqtt://b:5", "app.group": "cli", "defaults.workers": 6, "app.node": None}
    config = loaded(tmp_path, text, environment, overrides=overrides)
    assert (config.broker.url, config.app.group, config.routes[0].workers) == ("mqtt://b:5", "cli", 6)
    assert "secret" not in repr(config)


@pytest.mark.parametrize(
    ("url", "environment", "expected"),
    [
        ("mqtt://a:1", {"MQTT_PORT": "2"}, "mqtt://a:2"),
        ("mqtt://a:1", {"MQTT_BROKER": "b"}, "mqtt://b:1883"),
        ("mqtt://a:1", {"MQTT_BROKER": "b:7"}, "mqtt://b:7"),
        ("mqtt://a:1", {"MQTT_BROKER": "::1", "MQTT_PORT": "2"}, "mqtt://[::1]:2"),
        ("mqtt://a:1", {"MQTT_BROKER": "mqtts://b", "MQTT_PORT": "2"}, "mqtts://b:2"),
        ("mqtt://a:1", {"MQTT_BROKER": "embedded"}, "embedded"),
        ("mqtt://a:1", {"MQTT_BROKER": " ", "MQTT_PORT": ""}, "mqtt://a:1"),
        ("mqtt://[::1]", {}, "mqtt://[::1]:1883"),
        ("mosquitto", {}, "mosquitto"),
    ],
)
def test_the_brokers_address(tmp_path: Path, url: str, environment: dict[str, str], expected: str) -> None:
    assert loaded(tmp_path, f'[broker]\nurl = "{url}"\n', environment).broker.url == expected


def test_a_port_alone_is_that_of_the_embedded_broker(tmp_path: Path) -> None:
    broker = loaded(tmp_path, "", {"MQTT_PORT": "1999"}).broker
    assert (broker.url, broker.port) == ("embedded", 1999)


def test_the_real_environment_wins_over_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "# mine\nexport MQTT_GROUP_NAME=dot\nWORKER_COUNT='3'\nMQTT_PORT=x\n", ".env")
    monkeypatch.setenv("MQTT_PORT", "1999")
    monkeypatch.delenv("WORKER_COUNT", raising=False)
    monkeypatch.delenv("MQTT_GROUP_NAME", raising=False)
    config = load(write(tmp_path, ROUTE))
    assert (config.app.group, config.routes[0].workers, config.broker.port) == ("dot", 3, 1999)
    monkeypatch.delenv("MQTT_PORT")
    with pytest.raises(ConfigError, match=r"\.env:4: MQTT_PORT: found the text \"x\""):
        load(tmp_path / "routemq.toml")


def test_the_password_comes_from_a_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("pass word\r\nmore\n")
    text = '[broker]\npassword_file = "secret"\n'
    assert loaded(tmp_path, text).broker.password == "pass word"
    assert loaded(tmp_path, text, {"MQTT_PASSWORD": "env"}).broker.password == "env"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("MQTT_PORT", "70000", "found the number 70000 (allowed: a whole number from 1 to 65535)"),
        ("WORKER_COUNT", "many", 'found the text "many"'),
        ("WORKER_COUNT", "65", "found 65, which is above max_workers 64"),
        ("LOG_LEVEL", "loud", "allowed"),
        ("LOG_LEVEL", "debg", 'did you mean "DEBUG"'),
        ("MQTT_BROKER", "tcp://x", 'did you mean "mqtt://x"'),
        ("MQTT_GROUP_NAME", "a/b", "holds no /"),
        ("MQTT_USERNAME", "\udcff", "not Unicode"),
    ],
)
def test_a_bad_variable_is_named(tmp_path: Path, variable: str, value: str, said: str) -> None:
    found = [str(each) for each in problems(tmp_path, ROUTE, {variable: value})]
    assert len(found) == 1
    assert found[0].startswith(f"environment: {variable}: ")
    assert said in found[0]


def test_a_name_of_digits_is_a_name(tmp_path: Path) -> None:
    assert loaded(tmp_path, ROUTE, {"ROUTEMQ_NODE": " 7 "}).app.node == "7"


@pytest.mark.parametrize(
    "address",
    [
        "user:s3cret@broker",
        "user:s3cret@broker.example.com:1883",
        ":s3cret@broker",
        "tenant/user:s3cret@broker",
        "user:s3/c@ret/s3cret@broker",
        "user://s3cret@broker",
        "mqtt:/user:s3cret@broker",
        "mqtt://tenant/user:s3cret@broker",
        "mqtt://user://s3cret@broker",
        "tcp://user:s3cret@broker",
    ],
)
def test_a_password_in_an_address_is_refused_and_not_shown(tmp_path: Path, address: str) -> None:
    found = problems(tmp_path, ROUTE, {"MQTT_BROKER": address})
    found += problems(tmp_path, f'[broker]\nurl = "{address}"\n')
    found += problems(tmp_path, f"[broker]\nurl = {address}\n")
    assert len(found) == 3
    assert [str(each) for each in found if "s3cret" in str(each)] == []
    assert all("***@broker" in str(each) for each in found)


def test_a_topic_is_shown_as_it_is(tmp_path: Path) -> None:
    found = problems(tmp_path, '[routes.r]\ntopic = "{id:int}/x#y@z"\nhandler = "a:b"\n')
    assert '"{id:int}/x#y@z"' in str(found[0])


def test_a_port_that_contradicts_the_address_is_refused(tmp_path: Path) -> None:
    found = problems(tmp_path, "", {"MQTT_BROKER": "b:7", "MQTT_PORT": "8"})
    assert str(found[0]) == "environment: MQTT_PORT: found 8, but MQTT_BROKER says 7 (leave one of them out)"


def test_an_unknown_override_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r'command line: broker.ulr: unknown key \(did you mean "broker.url"'
    ):
        load(write(tmp_path, ""), overrides={"broker.ulr": "x"}, environment={})


# -- files that are none --------------------------------------------------------------------------------


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"[app]\ngroup = 'b\xfcro'\n")
    pipe = tmp_path / "socket.toml"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(pipe))
        for file, line, said in (
            (tmp_path / "none.toml", None, "there is no such file"),
            (tmp_path, None, "this is a folder"),
            (latin, 2, "not UTF-8: byte 0xfc"),
            (pipe, None, "cannot be read"),
            (tmp_path / "latin.toml" / "x", None, "cannot be read: Not a directory"),
        ):
            with pytest.raises(ConfigError, match=said) as caught:
                load(file, environment={})
            assert [each.place for each in caught.value.problems] == [Place(file, line)]


def test_a_byte_order_mark_and_dos_line_ends_are_fine(tmp_path: Path) -> None:
    file = tmp_path / "routemq.toml"
    file.write_bytes(b"\xef\xbb\xbf[app]\r\ngroup = 'g'\r\nnode = 5\r\n")
    with pytest.raises(ConfigError, match=r"routemq.toml:3: app.node: found the number 5"):
        load(file, environment={})


def test_a_node_named_after_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "web.7 b")
    assert loaded(tmp_path, '[app]\nnode = "n-{hostname}"\n' + ROUTE).app.node == "n-web-7-b"
    assert loaded(tmp_path, ROUTE, {"ROUTEMQ_NODE": "{hostname}"}).app.node == "web-7-b"
    assert loaded(tmp_path, ROUTE, {"ROUTEMQ_HTTP": "0.0.0.0:9"}).http.listen == "0.0.0.0:9"
