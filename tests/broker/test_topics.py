"""Names, filters, matching; the tree finds exactly what the plain matcher finds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routemq_tui.broker.topics import SubscriptionTree, matches, split_share, valid_filter, valid_name

MATCHING = [
    ("sport/tennis/#", "sport/tennis", True),
    ("sport/tennis/#", "sport/tennis/player1/ranking", True),
    ("sport/+/player1", "sport/tennis/player1", True),
    ("sport/+", "sport", False),
    ("sport/+", "sport/", True),
    ("+/+", "/finance", True),
    ("/+", "/finance", True),
    ("+", "/finance", False),
    ("#", "a/b/c", True),
    ("#", "$SYS/broker", False),
    ("+/broker", "$SYS/broker", False),
    ("$SYS/#", "$SYS/broker", True),
    ("$SYS/+", "$SYS/broker", True),
    ("a/+/#", "a", False),
    ("Sport", "sport", False),
    ("a//b", "a/b", False),
]


@pytest.mark.parametrize(("topic_filter", "topic", "expected"), MATCHING)
def test_matching_follows_the_standards_examples(topic_filter: str, topic: str, expected: bool) -> None:
    tree: SubscriptionTree[str] = SubscriptionTree()
    tree.add(topic_filter, "key", topic_filter)

    assert matches(topic_filter, topic) is expected
    assert bool(tree.match(topic)) is expected


levels = st.sampled_from(["a", "b", "", "$x", "c"])
topics = st.lists(levels, min_size=1, max_size=5).map("/".join)
filters = st.builds(
    lambda parts, rest: "/".join([*parts, *(["#"] if rest else [])]),
    st.lists(levels | st.just("+"), min_size=1, max_size=4),
    st.booleans(),
)


@given(st.lists(filters, max_size=12, unique=True), st.sets(st.integers(0, 11)), topics)
def test_the_tree_finds_what_the_plain_matcher_finds(some: list[str], removed: set[int], topic: str) -> None:
    tree: SubscriptionTree[str] = SubscriptionTree()
    for topic_filter in some:
        tree.add(topic_filter, "key", topic_filter)
    for index in removed:
        if index < len(some):
            tree.remove(some[index], "key")
    left = [one for index, one in enumerate(some) if index not in removed]

    assert sorted(tree.match(topic)) == sorted(one for one in left if matches(one, topic))


def test_a_removed_filter_leaves_no_node_behind() -> None:
    tree: SubscriptionTree[str] = SubscriptionTree()
    tree.add("a/b/c", "one", "one")
    tree.add("a/b", "two", "two")

    tree.remove("a/b/c", "one")
    assert tree.match("a/b") == ["two"]
    tree.remove("a/b", "two")
    assert not tree._root.children


@pytest.mark.parametrize("text", ["#", "+", "a/+/b", "a/#", "/", "a//b", "$SYS/#"])
def test_valid_filters(text: str) -> None:
    assert valid_filter(text, 128)


@pytest.mark.parametrize("text", ["", "a#", "#/a", "a/#/b", "a+", "+a/b", "a/b+", "/" * 128])
def test_invalid_filters(text: str) -> None:
    assert not valid_filter(text, 128)


def test_names_have_no_wildcards_and_are_not_empty() -> None:
    assert valid_name("a/b", 128)
    assert not valid_name("", 128)
    assert not valid_name("a/+", 128)
    assert not valid_name("a/#", 128)


def test_share_names() -> None:
    assert split_share("$share/group/a/+") == ("group", "a/+")
    for text in ("$share/group", "$share//a", "$share/g+/a", "$share/g#/a", "$share/group/"):
        assert split_share(text) is None
