"""Topic names and filters: validity and matching (MQTT 5 section 4.7), and the tree of subscriptions."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")

SHARE_PREFIX = "$share/"


def valid_name(topic: str, levels: int) -> bool:
    """Whether it can be published to: not empty, no wildcard, not deeper than `levels`."""
    return bool(topic) and "+" not in topic and "#" not in topic and topic.count("/") < levels


def valid_filter(text: str, levels: int) -> bool:
    """Whether it can be subscribed to: `+` fills a level, `#` fills the last one."""
    if not text or text.count("/") >= levels:
        return False
    parts = text.split("/")
    last = len(parts) - 1
    for at, part in enumerate(parts):
        if "#" in part and (part != "#" or at != last):
            return False
        if "+" in part and part != "+":
            return False
    return True


def weight(text: str) -> int:
    """About the bytes a filter, or another text kept in parts, costs in memory (measured, rounded up)."""
    return 600 + 300 * text.count("/") + 3 * len(text) * (1 if text.isascii() else 4)


def split_share(text: str) -> tuple[str, str] | None:
    """`$share/group/filter` as (group, filter); None when the text is malformed (section 4.8.2)."""
    name, slash, rest = text[len(SHARE_PREFIX) :].partition("/")
    if not name or not slash or not rest or "+" in name or "#" in name:
        return None
    return name, rest


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a filter takes a topic; a leading `$` is not taken by a leading wildcard."""
    wanted = topic_filter.split("/")
    levels = topic.split("/")
    if topic.startswith("$") and wanted[0] in ("+", "#"):
        return False
    for at, part in enumerate(wanted):
        if part == "#":
            return True
        if at == len(levels) or part not in ("+", levels[at]):
            return False
    return len(wanted) == len(levels)


class _Node(Generic[T]):
    __slots__ = ("children", "entries")

    def __init__(self) -> None:
        self.children: dict[str, _Node[T]] = {}
        self.entries: dict[str, T] = {}


class SubscriptionTree(Generic[T]):
    """Entries by topic filter and key; finds all whose filter takes a topic, without recursion."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def add(self, topic_filter: str, key: str, entry: T) -> None:
        node = self._root
        for level in topic_filter.split("/"):
            node = node.children.setdefault(level, _Node())
        node.entries[key] = entry

    def remove(self, topic_filter: str, key: str) -> None:
        path: list[tuple[_Node[T], str]] = []
        node = self._root
        for level in topic_filter.split("/"):
            child = node.children.get(level)
            if child is None:
                return
            path.append((node, level))
            node = child
        node.entries.pop(key, None)
        for parent, level in reversed(path):
            child = parent.children[level]
            if child.entries or child.children:
                break
            del parent.children[level]

    def match(self, topic: str) -> list[T]:
        found: list[T] = []
        nodes = [self._root]
        wildcards = not topic.startswith("$")
        for level in topic.split("/"):
            following: list[_Node[T]] = []
            for node in nodes:
                children = node.children
                if wildcards:
                    if (rest := children.get("#")) is not None:
                        found.extend(rest.entries.values())
                    if (one := children.get("+")) is not None:
                        following.append(one)
                if (same := children.get(level)) is not None:
                    following.append(same)
            nodes = following
            wildcards = True
            if not nodes:
                return found
        for node in nodes:
            found.extend(node.entries.values())
            if (rest := node.children.get("#")) is not None:
                found.extend(rest.entries.values())
        return found
