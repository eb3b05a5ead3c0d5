from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from routemq_tui.routing.topics import (
    filter_fault,
    group_fault,
    matches,
    overlaps,
    subscription,
    topic_fault,
    valid_filter,
)

LEVELS = st.sampled_from(["", "a", "b", "$SYS", "A"])
TOPICS = st.lists(LEVELS, min_size=1, max_size=4).map("/".join).filter(bool)
FILTERS = (
    st.tuples(st.lists(LEVELS | st.just("+"), max_size=3), LEVELS | st.sampled_from(["+", "#"]))
    .map(lambda parts: "/".join((*parts[0], parts[1])))
    .filter(bool)
)


def reference_matches(wanted: list[str], levels: list[str]) -> bool:
    """MQTT 5 section 4.7, level by level, without the rule for `$`."""
    if wanted == ["#"]:
        return True
    if not wanted or not levels:
        return not levels and (not wanted or wanted == ["#"])
    return wanted[0] in ("+", levels[0]) and reference_matches(wanted[1:], levels[1:])


@given(FILTERS, TOPICS)
@example("#", "$SYS/a")
@example("+/a", "$SYS/a")
@example("$SYS/#", "$SYS/a")
@example("a/#", "a")
@example("a/+", "a")
@example("+/+", "/a")
def test_a_filter_matches_as_the_standard_says(topic_filter: str, topic: str) -> None:
    hidden = topic.startswith("$") and topic_filter[0] in "+#"
    expected = not hidden and reference_matches(topic_filter.split("/"), topic.split("/"))
    assert matches(topic_filter, topic) is expected


@given(FILTERS, FILTERS, TOPICS)
def test_filters_that_match_one_topic_overlap(one: str, other: str, topic: str) -> None:
    if matches(one, topic) and matches(other, topic):
        assert overlaps(one, other)
    assert overlaps(one, other) is overlaps(other, one)


@given(FILTERS, FILTERS)
def test_filters_that_overlap_have_a_topic_in_common(one: str, other: str) -> None:
    # The topics a witness can need: the literals of both, and a level of its own for two wildcards.
    if overlaps(one, other):
        left, right = one.split("/"), other.split("/")
        length = max(len([x for x in left if x != "#"]), len([x for x in right if x != "#"]), 1)
        witness = []
        for index in range(length):
            found = [side[index] for side in (left, right) if index < len(side) and side[index] not in "+#"]
            found += [side[index] for side in (left, right) if index < len(side) and side[index] == ""]
            witness.append(found[0] if found else "w")
        topic = "/".join(witness)
        assert topic == "" or (matches(one, topic) and matches(other, topic)), topic


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("sensors/+/data", "sensors/1/+", True),
        ("sensors/#", "sensors", True),
        ("sensors/+", "sensors/+/data", False),
        ("#", "$SYS/a", False),
        ("+/a", "$SYS/a", False),
        ("a/b", "a/c", False),
        ("a/+/#", "a", False),
    ],
)
def test_overlaps(one: str, other: str, expected: bool) -> None:
    assert overlaps(one, other) is expected


@pytest.mark.parametrize(
    "topic_filter", ["a", "/", "+", "#", "a/+/b", "a/#", "$SYS/#", "a//b", "ä/ö", "a" * 65535]
)
def test_valid_filters(topic_filter: str) -> None:
    assert valid_filter(topic_filter)


@pytest.mark.parametrize(
    "topic_filter", ["", "a#", "#/a", "a/b+", "+a", "a\0b", "ä" * 32768, "a/#/b", "\ud800", "##", "++"]
)
def test_invalid_filters(topic_filter: str) -> None:
    assert filter_fault(topic_filter)


def test_topics_hold_no_wildcards() -> None:
    assert topic_fault("a/b c") is None
    assert topic_fault("a/+")
    assert topic_fault("a/#")
    assert topic_fault("")


def test_share_names_and_subscriptions() -> None:
    assert group_fault("workers") is None
    assert all(group_fault(name) for name in ("", "a/b", "a+", "#"))
    assert subscription("a/+", "g") == "$share/g/a/+"
    assert subscription("a/+", None) == "a/+"
