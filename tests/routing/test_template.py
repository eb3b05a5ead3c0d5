from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routemq_tui.routing.template import Param, Template, TemplateError
from routemq_tui.routing.topics import matches, valid_filter

LITERALS = st.text(st.characters(exclude_characters="/+#{}\0", exclude_categories=["Cs"]), max_size=4)
MIDDLE = st.tuples(st.sampled_from(["literal", "+", "str", "bare"]), LITERALS)
LAST = st.tuples(st.sampled_from(["literal", "+", "str", "path", "#"]), LITERALS)


def written(kind: str, literal: str, index: int) -> tuple[str, str]:
    """A level as template and as filter."""
    return {
        "literal": (literal, literal),
        "+": ("+", "+"),
        "#": ("#", "#"),
        "str": (f"{{p{index}:str}}", "+"),
        "bare": (f"{{p{index}}}", "+"),
        "path": (f"{{p{index}:path}}", "#"),
    }[kind]


@given(
    st.tuples(st.lists(MIDDLE, max_size=3), LAST),
    st.lists(LITERALS, min_size=1, max_size=5),
    st.data(),
)
def test_a_template_matches_what_its_filter_matches(
    parts: tuple[list[tuple[str, str]], tuple[str, str]], noise: list[str], data: st.DataObject
) -> None:
    # given a template of any levels
    levels = [written(kind, literal, i) for i, (kind, literal) in enumerate([*parts[0], parts[1]])]
    text, topic_filter = "/".join(level[0] for level in levels), "/".join(level[1] for level in levels)
    if not valid_filter(topic_filter) or text.startswith("$share/"):
        return
    template = Template.parse(text)
    assert template.filter == topic_filter
    # when a topic comes that is made from it, or any other
    made = [data.draw(LITERALS) if level[1] in "+#" and level[1] else level[1] for level in levels]
    for topic in ("/".join(made), "/".join(made[:-1]), "/".join(noise)):
        params = template.match(topic)
        # then both agree, and the parameters are the topic's levels
        assert (params is not None) is matches(topic_filter, topic)
        if params is not None:
            for index, level in enumerate(levels):
                if level[0].startswith("{"):
                    rest = topic.split("/")[index:]
                    assert params[f"p{index}"] == ("/".join(rest) if level[1] == "#" else rest[0])


def test_typed_parameters_are_converted() -> None:
    template = Template.parse("sensors/{device_id:int}/{value:float}/{name:str}")
    assert template.filter == "sensors/+/+/+"
    assert template.params == (Param("device_id", "int"), Param("value", "float"), Param("name", "str"))
    assert template.match("sensors/-7/2.5e1/x") == {"device_id": -7, "value": 25.0, "name": "x"}


@pytest.mark.parametrize("level", ["", "x", "1.5", "1_0", " 1", "٣", "0x1", "--1", "9" * 5000])
def test_a_level_that_is_no_int_is_no_match(level: str) -> None:
    assert Template.parse("{n:int}").match(level) is None


@pytest.mark.parametrize("level", ["", "x", "nan", "inf", "1_0", "1e999", " 1", "٣", "."])
def test_a_level_that_is_no_float_is_no_match(level: str) -> None:
    assert Template.parse("{n:float}").match(level) is None


@given(st.integers(-(10**30), 10**30), st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_come_back(whole: int, real: float) -> None:
    found = Template.parse("{a:int}/{b:float}").match(f"{whole}/{real!r}")
    assert found is not None
    assert found["a"] == whole
    assert math.isclose(float(str(found["b"])), real, rel_tol=0)


def test_a_path_takes_what_is_left_and_the_level_above() -> None:
    template = Template.parse("logs/{host}/{rest:path}")
    assert template.filter == "logs/+/#"
    assert template.match("logs/a/b/c") == {"host": "a", "rest": "b/c"}
    assert template.match("logs/a") == {"host": "a", "rest": ""}
    assert template.match("logs") is None


def test_literals_are_literal_and_doubled_braces_are_braces() -> None:
    template = Template.parse("a.b/*/{{x}}/(y)")
    assert template.filter == "a.b/*/{x}/(y)"
    assert template.match("a.b/*/{x}/(y)") == {}
    assert template.match("aXb/*/{x}/(y)") is None


def test_a_leading_parameter_does_not_match_a_dollar_topic() -> None:
    assert Template.parse("{a}/b").match("$SYS/b") is None
    assert Template.parse("{a:path}").match("$SYS/b") is None
    assert Template.parse("$SYS/{a}").match("$SYS/b") == {"a": "b"}


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        ("", 0, "empty"),
        ("a/{b", 2, "whole level"),
        ("a/x{b}", 3, "whole level"),
        ("a/}", 2, "whole level"),
        ("{a}/{a}", 4, "twice"),
        ("{p:path}/x", 0, "last"),
        ("x/{n:itn}", 5, 'did you mean "int"'),
        ("{1a}", 1, "name of a parameter"),
        ("{class}", 1, "name of a parameter"),
        ("a/{payload}", 3, "rename"),
        ("a#", 1, "# stands alone"),
        ("#/a", 0, "# stands alone"),
        ("a/b+", 3, "whole level"),
        ("$share/g/a", 0, "group"),
        ("a/\0", 0, "NUL"),
        ("a" * 65536, 0, "65535"),
    ],
)
def test_a_bad_template_says_where_and_why(text: str, position: int, said: str) -> None:
    with pytest.raises(TemplateError, match=said) as caught:
        Template.parse(text)
    assert caught.value.position == position


@given(st.text("ab/{}:+#$ int", max_size=20))
def test_any_text_parses_or_is_refused(text: str) -> None:
    position, template = 0, None
    try:
        template = Template.parse(text)
    except TemplateError as error:
        position = error.position
    assert 0 <= position <= len(text)
    assert template is None or valid_filter(template.filter)
