"""What became of a verb that `ctl` has sent, told by the snapshots before and after it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Values = dict[str, Any]
"""A request, or a snapshot as `snapshot_json` documents it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    text: str
    """In words: "temperature 3 -> 5"."""
    done: bool
    """Nothing more will come of it."""
    fields: Values = field(default_factory=dict)
    """The same for programs."""

    @property
    def values(self) -> Values:
        return {"text": self.text, "done": self.done, **self.fields}


def outcome(request: Values, before: Values, now: Values) -> Outcome:
    """What the later snapshot shows of a request; asked for again until it is done."""
    return _LOOKS[request["do"]](request, before, now)


def _scale(request: Values, before: Values, now: Values) -> Outcome:
    name = request["route"]
    was, route = _route(before, name).get("desired", 0), _route(now, name)
    wanted = request.get("count", was + request.get("change", 0))
    count, running = route.get("desired", was), route.get("running", 0)
    draining = [each["name"] for each in route.get("workers", ()) if each["state"] == "draining"]
    fields = {"route": name, "before": was, "after": count, "running": running, "draining": draining}
    if count != wanted:
        return Outcome(f"{name}: asked for {wanted}, still {count}", False, fields)
    text = f"{name} {was} -> {count}" if count != was else f"{name} stays at {count}"
    if running < count:
        text += f", {running} of them running so far"
    if draining:
        text += f", draining: {', '.join(draining)}"
    return Outcome(text, running >= count and not draining, fields)


def _kill(request: Values, before: Values, now: Values) -> Outcome:
    name, old, worker, fields = _before_and_after(request, before, now)
    if _is_new(old, worker):
        return Outcome(f"{name} killed, started again as pid {worker['pid']}", True, fields)
    if worker.get("pid") is None and worker.get("state") != "killed":
        return Outcome(f"{name} killed, now {worker.get('state', 'gone')}", _is_at_rest(worker), fields)
    if worker["state"] == "killed":
        return Outcome(f"{name} killed, not started again yet", False, fields)
    return Outcome(f"{name}: asked to be killed, still {worker['state']}", False, fields)


def _drain(request: Values, before: Values, now: Values) -> Outcome:
    name, _, worker, fields = _before_and_after(request, before, now)
    route = name.rpartition("/")[0]
    was, count = _route(before, route).get("desired", 0), _route(now, route).get("desired", 0)
    fields |= {"route": route, "before": was, "after": count}
    if worker.get("pid") is None and _is_at_rest(worker):
        change = f", {route} {was} -> {count}" if count != was else ""
        return Outcome(f"{name} drained{change}", True, fields)
    if worker["state"] == "draining":
        return Outcome(f"{name} draining, {worker['in_flight']} in hand", False, fields)
    return Outcome(f"{name}: asked to drain, still {worker['state']}", False, fields)


def _start(request: Values, before: Values, now: Values) -> Outcome:
    name, old, worker, fields = _before_and_after(request, before, now)
    if worker.get("pid") is None:
        why = f": {worker['reason']}" if worker.get("reason") else ""
        return Outcome(f"{name} is {worker.get('state', 'gone')}{why}", False, fields)
    if not _is_new(old, worker):
        return Outcome(f"{name} has been {worker['state']} as pid {worker['pid']}", True, fields)
    started = "started" if worker["state"] != "starting" else "starting"
    return Outcome(f"{name} {started} as pid {worker['pid']}", started == "started", fields)


def _restart(request: Values, before: Values, now: Values) -> Outcome:
    if "/" not in request["worker"]:
        return _rolling(request["worker"], before, now)
    name, old, worker, fields = _before_and_after(request, before, now)
    if _is_new(old, worker):
        return Outcome(f"{name} restarted as pid {worker['pid']}", True, fields)
    if worker.get("state") == "draining":
        return Outcome(f"{name} draining, {worker['in_flight']} in hand; it starts again then", False, fields)
    return Outcome(f"{name}: asked to restart, still {worker.get('state', 'gone')}", False, fields)


def _rolling(name: str, before: Values, now: Values) -> Outcome:
    """One worker after the other."""
    after = {each["name"]: each for each in _route(now, name).get("workers", ())}
    old = [each for each in _route(before, name).get("workers", ()) if each["pid"] is not None]
    count = sum(_is_new(each, after.get(each["name"], {})) for each in old)
    fields = {"route": name, "restarted": count, "workers": len(old)}
    so_far = "" if count == len(old) else " so far"
    return Outcome(f"{name}: {count} of {len(old)} restarted{so_far}", count == len(old), fields)


def _pause(request: Values, before: Values, now: Values) -> Outcome:
    name, wanted = request["route"], request["do"] == "pause"
    state = _route(now, name).get("state", "gone")
    done = (state == "paused") == wanted
    verb = "paused" if wanted else "resumed"
    text = f"{name} {verb}" if done else f"{name}: not {verb} yet"
    was = _route(before, name).get("state", "gone")
    if done and (was == "paused") == wanted:
        text = f"{name} is paused already" if wanted else f"{name} is not paused"
    return Outcome(text, done, {"route": name, "state": state})


def _tap(request: Values, _before: Values, now: Values) -> Outcome:
    name, wanted = request["route"], request["on"]
    tapped = _route(now, name).get("tapped", False)
    text = f"{name} {'tapped' if tapped else 'not tapped'}" + ("" if tapped == wanted else " yet")
    return Outcome(text, tapped == wanted, {"route": name, "tapped": tapped})


def _autoscale(request: Values, _before: Values, now: Values) -> Outcome:
    name, wanted = request["route"], "on" if request["on"] else "off"
    scaling = _route(now, name).get("scaling") or {}
    switch = scaling.get("switch", "off")
    bounds = f", {scaling['low']} to {scaling['high']} workers" if switch == "on" else ""
    still = "" if switch == wanted else "still "
    text = f"{name}: autoscale {still}{switch}{bounds}"
    return Outcome(text, switch == wanted, {"route": name, "switch": switch})


def _stop(_request: Values, _before: Values, now: Values) -> Outcome:
    """One that has stopped does not answer any more."""
    left = sum(each["pid"] is not None for route in now["routes"] for each in route["workers"])
    processes = "process" if left == 1 else "processes"
    return Outcome(f"stopping, {left} worker {processes} left", False, {"state": "stopping", "left": left})


STOPPED = Outcome("stopped", True, {"state": "stopped", "left": 0})

_LOOKS: dict[str, Callable[[Values, Values, Values], Outcome]] = {
    "scale": _scale,
    "kill": _kill,
    "drain": _drain,
    "start": _start,
    "restart": _restart,
    "pause": _pause,
    "resume": _pause,
    "tap": _tap,
    "autoscale": _autoscale,
    "stop": _stop,
}


def _before_and_after(request: Values, before: Values, now: Values) -> tuple[str, Values, Values, Values]:
    name = request["worker"]
    old, new = _worker(before, name), _worker(now, name)
    fields = {
        "worker": name,
        "state": new.get("state"),
        "pid": new.get("pid"),
        "pid_before": old.get("pid"),
    }
    return name, old, new, fields


def _route(snapshot: Values, name: str) -> Values:
    return next((each for each in snapshot["routes"] if each["name"] == name), {})


def _worker(snapshot: Values, name: str) -> Values:
    workers: list[Values] = _route(snapshot, name.rpartition("/")[0]).get("workers", [])
    return next((each for each in workers if each["name"] == name), {})


def _is_new(old: Values, new: Values) -> bool:
    """It has a process, and not the one it had."""
    return new.get("pid") is not None and new["pid"] != old.get("pid")


def _is_at_rest(worker: Values) -> bool:
    """Gone, or without a process and not to get one by itself."""
    return worker.get("state") in (None, "stopped", "failed")
