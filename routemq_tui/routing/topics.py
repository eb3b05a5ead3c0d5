"""Topic names and topic filters by the rules of MQTT 5 section 4.7. Plain functions over text."""

from __future__ import annotations

MAX_BYTES = 65535
"""A topic travels with a length of two bytes (MQTT 5 section 1.5.4)."""
SHARE = "$share/"


def topic_fault(topic: str) -> str | None:
    """What makes this no topic name that can be published to, or None."""
    if "+" in topic or "#" in topic:
        return "wildcards (+ and #) are not allowed in a topic that is published to"
    return _text_fault(topic)


def filter_fault(topic_filter: str) -> str | None:
    """What makes this no topic filter, or None."""
    levels = topic_filter.split("/")
    for index, level in enumerate(levels):
        if "#" in level and (level != "#" or index != len(levels) - 1):
            return "# stands alone, as the last level"
        if "+" in level and level != "+":
            return "+ takes a whole level"
    return _text_fault(topic_filter)


def group_fault(group: str) -> str | None:
    """What makes this no share name (MQTT 5 section 4.8.2), or None."""
    if "/" in group or "+" in group or "#" in group:
        return "a share name holds no /, + or #"
    return _text_fault(group)


def valid_filter(topic_filter: str) -> bool:
    """Whether this is a topic filter; a `$share/` prefix is not looked into."""
    return filter_fault(topic_filter) is None


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a subscription to this filter receives this topic.

    A leading wildcard does not match a topic that begins with `$` (section 4.7.2); `a/#` also matches `a`.
    """
    wanted = topic_filter.split("/")
    if topic[:1] == "$" and wanted[0] in ("+", "#"):
        return False
    levels = topic.split("/")
    if wanted[-1] == "#":
        wanted.pop()
        if len(levels) < len(wanted):
            return False
    elif len(levels) != len(wanted):
        return False
    return all(want in ("+", level) for want, level in zip(wanted, levels, strict=False))


def overlaps(one: str, other: str) -> bool:
    """Whether some topic matches both filters."""
    left, right = one.split("/"), other.split("/")
    for first, second in ((left[0], right[0]), (right[0], left[0])):
        if first in ("+", "#") and second[:1] == "$":
            return False
    for index in range(max(len(left), len(right))):
        a = left[index] if index < len(left) else None
        b = right[index] if index < len(right) else None
        if a == "#" or b == "#":
            return True
        if a is None or b is None or (a != b and "+" not in (a, b)):
            return False
    return True


def subscription(topic_filter: str, group: str | None) -> str:
    """What is sent in SUBSCRIBE: `$share/<group>/<filter>`, or the filter itself when there is no group."""
    return topic_filter if group is None else f"{SHARE}{group}/{topic_filter}"


def _text_fault(text: str) -> str | None:
    if not text:
        return "it is empty"
    if "\0" in text:
        return "a NUL character is not allowed"
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "it is not valid Unicode (a lone surrogate)"
    return None if size <= MAX_BYTES else f"it is {size} bytes long, the most is {MAX_BYTES}"
