"""The transition table: what each event makes of each state, and the clock that is passed in."""

from __future__ import annotations

import pytest

from routemq_tui.engine.states import ALIVE, Event, IllegalTransitionError, Status, WorkerState, transition

S = WorkerState


@pytest.mark.parametrize(
    ("events", "end"),
    [
        ("start subscribed", S.RUNNING),
        ("start subscribed pause", S.PAUSED),
        ("start subscribed pause resume", S.RUNNING),
        ("start subscribed pause subscribed", S.PAUSED),
        ("start subscribed drain ended", S.STOPPED),
        ("start drain subscribed ended", S.STOPPED),
        ("start subscribed died", S.BACKOFF),
        ("start died start", S.STARTING),
        ("start subscribed kill", S.KILLED),
        ("start subscribed kill start", S.STARTING),
        ("start died gave_up", S.FAILED),
        ("start gave_up start", S.STARTING),
        ("start died drain", S.STOPPED),
    ],
)
def test_a_life_ends_in_its_state(events: str, end: WorkerState) -> None:
    status = Status()
    for now, name in enumerate(events.split()):
        status = transition(status, Event[name.upper()], float(now))
    assert status.state is end


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (S.RUNNING, Event.START),
        (S.STOPPED, Event.SUBSCRIBED),
        (S.BACKOFF, Event.PAUSE),
        (S.FAILED, Event.KILL),
        (S.STARTING, Event.RESUME),
    ],
)
def test_an_event_without_meaning_is_a_mistake_of_the_engine(state: WorkerState, event: Event) -> None:
    with pytest.raises(IllegalTransitionError, match=state.value):
        transition(Status(state), event, 1.0)


def test_since_moves_with_the_state_only() -> None:
    running = transition(Status(S.STARTING, 1.0), Event.SUBSCRIBED, 5.0, "first")
    again = transition(running, Event.SUBSCRIBED, 9.0)
    assert (running.since, again.since, again.reason) == (5.0, 5.0, "first")


def test_a_reason_belongs_to_its_state() -> None:
    dead = transition(Status(S.RUNNING, 1.0), Event.DIED, 2.0, "exited by SIGSEGV", retry_at=2.5)
    started = transition(dead, Event.START, 2.5)
    assert (dead.reason, dead.retry_at) == ("exited by SIGSEGV", 2.5)
    assert (started.reason, started.retry_at) == ("", None)


def test_whatever_has_a_process_can_be_killed_and_can_die() -> None:
    for state in ALIVE:
        assert transition(Status(state), Event.KILL, 1.0).state is S.KILLED
        assert transition(Status(state), Event.DIED, 1.0).state is S.BACKOFF
