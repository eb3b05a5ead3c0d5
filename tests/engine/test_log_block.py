"""A block gives back what was written to it: while it is open, and sealed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from routemq_tui.engine.log_block import LogBlock
from routemq_tui.engine.port import LogLine
from routemq_tui.engine.sanitise import CleanRun

texts = st.text(st.characters(exclude_characters="\n"), max_size=20)
runs = st.lists(
    st.tuples(
        st.lists(st.tuples(texts, st.none() | texts), min_size=1, max_size=5),
        st.sampled_from([(20, "log", "app"), (40, "stderr", ""), (10, "log", "app.db")]),
    ),
    min_size=1,
    max_size=6,
)


@given(runs)
def test_lines_come_back_as_they_were(
    given_runs: list[tuple[list[tuple[str, str | None]], tuple[int, str, str]]],
) -> None:
    block = LogBlock("jobs/1", 7)
    written: list[LogLine] = []
    for number, (lines, kind) in enumerate(given_runs):
        ansi = {place: colours for place, (_, colours) in enumerate(lines) if colours is not None}
        run = CleanRun([text for text, _ in lines], [float(number)] * len(lines), ansi)
        seq = 100 * number
        block.append(seq, kind, run, 0, len(lines))
        written += [
            LogLine(seq + place, float(number), "jobs/1", *kind, text, colours)
            for place, (text, colours) in enumerate(lines)
        ]
    count = len(written)
    for _ in range(2):
        assert list(block.lines(0, count)) == written
        assert [block.line(place) for place in range(count)] == written
        assert list(block.lines(1, count)) == written[1:]
        assert block.data(1, count).decode("utf-8", "surrogatepass") == "\n".join(
            line.text for line in written[1:]
        )
        for level in (0, 20, 30, 50):
            expected = [place for place, line in enumerate(written) if line.level >= level]
            assert list(block.from_level(level, 0, count)) == expected
        assert block.last == 7 + count
        # when it is sealed, then it is all the same
        block.seal()


def test_a_newline_never_shifts_the_lines_after_it() -> None:
    block = LogBlock("jobs/1", 0)
    block.append(1, (20, "log", ""), CleanRun(["one", "two\nhalves", "three"], [0.0] * 3, {}), 0, 3)
    block.seal()
    assert [line.text for line in block.lines(0, 3)] == ["one", "two␊halves", "three"]


def test_sealed_lines_take_little_more_than_their_text() -> None:
    block = LogBlock("jobs/1", 0)
    run = CleanRun(["x" * 60] * 1_000, [0.0] * 1_000, {})
    block.append(1, (20, "log", ""), run, 0, 1_000)
    open_size = block.size
    block.seal()
    assert block.size < 1_000 * (60 + 25) < open_size


def test_a_block_has_the_kinds_of_its_own_lines_and_counts_them() -> None:
    kinds = [(20, "log", f"request.{number}." + "n" * 100) for number in range(200)]
    run = CleanRun(["x"] * 200, [0.0] * 200, {})
    block = LogBlock("jobs/1", 0)
    block.append_mixed(1, kinds, bytes(range(200)), run, 150, 200)
    assert sorted(block.kinds) == sorted(kinds[150:])
    for _ in range(2):
        assert 50 * 250 < block.size < 50 * 550
        assert [line.logger for line in block.lines(0, 50)] == [kind[2] for kind in kinds[150:]]
        block.seal()
