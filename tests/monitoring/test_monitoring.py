"""Probes and scrapes of a real engine at work, being killed, and after the end."""

from __future__ import annotations

import gc
import http.client
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from typing import Any

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from routemq_tui.engine.commands import SetWorkers
from routemq_tui.engine.engine import Engine
from routemq_tui.engine.snapshot import EngineState, Health
from routemq_tui.monitoring.metrics import BOUNDS
from routemq_tui.monitoring.server import AT_ONCE, ListenError, MonitoringServer, split_address
from tests.engine.conftest import StartRig
from tests.engine.rig import route
from tests.fakes.engine import FakeEngine
from tests.fakes.snapshots import busy
from tests.waiting import wait_until

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@contextmanager
def serving(engine: Any, listen: str = "127.0.0.1:0") -> Iterator[MonitoringServer]:
    server = MonitoringServer(engine, listen)
    try:
        yield server
    finally:
        server.close()


def get(server: MonitoringServer, path: str, method: str = "GET") -> tuple[int, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)) as connection:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def scrape(server: MonitoringServer) -> Samples:
    status, text = get(server, "/metrics")
    assert status == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(samples: Samples, name: str, **labels: str) -> float:
    wanted = labels.items()
    return sum(value for (found, given), value in samples.items() if found == name and wanted <= set(given))


def test_the_sums_are_what_was_published(start_rig: StartRig) -> None:
    with start_rig(route("jobs", workers=3), route("bad", "picky")) as rig, serving(rig.engine) as server:
        rig.until_running(3)
        rig.publish(200)
        rig.publish(20, "bad/{}")
        rig.until_ok(200)
        rig.until(lambda: rig.route("bad").metrics.failed == 20)
        # when a worker is scaled away, then its counts stay with the route
        rig.send(SetWorkers("jobs", 1))
        rig.until_running(1)
        # the store is counted once a second at most
        wait_until(lambda: scrape(server)["routemq_dead_letters", ()] == 20, what="the letters are counted")
        found = scrape(server)
    assert total(found, "routemq_messages_total", route="jobs", result="ok") == 200
    assert total(found, "routemq_messages_total", result="ok") == 200
    assert total(found, "routemq_messages_total", route="bad", result="failed") == 20
    assert total(found, "routemq_messages_total", result="dead_lettered") == 20
    assert total(found, "routemq_messages_received_total") == 220
    assert total(found, "routemq_workers", state="running") == 2
    assert found["routemq_workers_desired", (("route", "jobs"),)] == 1
    assert found["routemq_broker_connected", ()] == 1
    assert found["routemq_health", ()] == 2
    # and the histogram counts every attempt, in rising buckets
    jobs = (("route", "jobs"),)
    assert found["routemq_handler_seconds_count", jobs] == 200
    assert 0 < found["routemq_handler_seconds_sum", jobs] < 10
    buckets = [found["routemq_handler_seconds_bucket", (("le", str(bound)), *jobs)] for bound in BOUNDS]
    assert buckets == sorted(buckets)
    assert found["routemq_handler_seconds_bucket", (("le", "+Inf"), *jobs)] == 200
    memory = total(found, "routemq_worker_resident_memory_bytes", worker="jobs/1")
    assert memory > 5_000_000


def test_counters_never_fall_while_workers_are_killed(start_rig: StartRig) -> None:
    with start_rig(route("jobs", workers=2)) as rig, serving(rig.engine) as server:
        rig.until_running(2)
        before: Samples = {}
        for turn in range(12):
            rig.publish(20)
            pid = next((worker.pid for worker in rig.route().workers if worker.pid), None)
            if pid is not None and turn % 3 == 0:
                with suppress(ProcessLookupError):  # the snapshot may be older than the last kill
                    os.kill(pid, signal.SIGKILL)
            now = scrape(server)
            counters = {key: value for key, value in now.items() if key[0].endswith(("_total", "_count"))}
            for key, value in before.items():
                assert counters[key] >= value, key
            before = counters
        rig.until(lambda: scrape(server)["routemq_handler_seconds_count", (("route", "jobs"),)] >= 240)


def test_probes(start_rig: StartRig) -> None:
    with start_rig(route("jobs", workers=2)) as rig, serving(rig.engine) as server:
        rig.until_running(2)
        rig.until(lambda: get(server, "/readyz")[0] == 200)
        _, text = get(server, "/readyz")
        told = json.loads(text)
        assert told["status"] == "healthy"
        assert told["routes"]["jobs"] == {"running": 2, "desired": 2, "paused": False}
        assert get(server, "/healthz") == (200, "alive\n")
        assert get(server, "/readyz", "HEAD") == (200, "")
        assert get(server, "/")[0] == 404
        assert get(server, "/healthz", "POST")[0] == 501
        rig.stop()
        assert get(server, "/healthz")[0] == 503
        assert get(server, "/readyz")[0] == 503


@pytest.mark.parametrize(
    ("changes", "ready"),
    [
        ({"health": Health.DEGRADED}, 200),
        ({"health": Health.UNHEALTHY}, 503),
        ({"state": EngineState.STOPPING}, 503),
        ({"time": 1.0}, 503),
    ],
)
def test_what_counts_as_ready(changes: dict[str, Any], ready: int, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = busy()
    monkeypatch.setattr("routemq_tui.monitoring.server.time.time", lambda: snapshot.time)
    engine = FakeEngine(replace(snapshot, **changes))
    with serving(engine) as server:
        assert get(server, "/readyz")[0] == ready
        assert get(server, "/healthz")[0] == (503 if "time" in changes else 200)


def scraped_often(start_rig: StartRig, times: int) -> None:
    with start_rig(route("jobs", workers=2)) as rig, serving(rig.engine) as server:
        rig.until_running(2)
        us = psutil.Process()

        def held() -> tuple[int, int, int]:
            gc.collect()
            return us.num_fds(), threading.active_count(), us.memory_info().rss

        for _ in range(50):
            scrape(server)
        fds, threads, memory = held()
        for _ in range(times):
            assert get(server, "/metrics")[0] == 200
        wait_until(lambda: threading.active_count() <= threads)
        after = held()
        assert after[0] <= fds + 2
        assert after[2] - memory < 8_000_000


def test_scrapes_leak_nothing(start_rig: StartRig) -> None:
    scraped_often(start_rig, 300)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_ten_thousand_scrapes_leak_nothing(start_rig: StartRig) -> None:
    scraped_often(start_rig, 10_000)


def test_slow_clients_do_not_keep_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("routemq_tui.monitoring.server._Handler.timeout", 0.3)
    with serving(FakeEngine(busy())) as server:
        slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(AT_ONCE)]
        for each in slow:
            each.sendall(b"GET /heal")
        # then those that say nothing are let go, and there is room again

        def answered() -> bool:
            try:
                return get(server, "/nothing")[0] == 404
            except (OSError, http.client.HTTPException):
                return False

        wait_until(answered)
        for each in slow:
            each.close()


def test_a_port_in_use_is_told() -> None:
    with serving(FakeEngine(busy())) as server, pytest.raises(ListenError, match="cannot be listened on"):
        MonitoringServer(FakeEngine(busy()), f"127.0.0.1:{server.port}")


def test_addresses() -> None:
    assert split_address("[::1]:80") == ("::1", 80)
    with pytest.raises(ValueError, match="HOST:PORT"):
        split_address("9464")
    with serving(FakeEngine(busy()), "[::1]:0") as server:
        assert server.is_local
        assert server.address.startswith("http://[::1]:")


def test_the_engine_is_what_metrics_ask_for() -> None:
    assert {"snapshot", "latencies", "letters"} <= set(dir(Engine))
