"""The line of a study: its time first, then one line that is redrawn in a terminal only."""

import io

import pytest

from pigeonhole.evaluation.studies.study import StudyLine
from pigeonhole.runs.records import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_its_time_is_told_before_it_starts():
    out = io.StringIO()
    StudyLine("label check", 5, 125.0, out=out)
    assert out.getvalue() == "label check: 5 more networks, about 2:05\n"


def test_a_terminal_shows_where_it_stands_and_is_left_clean():
    out = Terminal()
    line = StudyLine("label check", 5, 125.0, out=out)
    line.step(2, Progress(30, 640, 0.01, 1.5, 12, 16))
    assert "network 3 of 5, step 30/640" in out.getvalue()
    line.done()
    assert out.getvalue().endswith("\r\x1b[K")


def test_elsewhere_nothing_is_redrawn():
    out = io.StringIO()
    line = StudyLine("label check", 5, 125.0, out=out)
    line.step(0, Progress(30, 640, 0.01, 1.5, 12, 16))
    line.done()
    assert out.getvalue().count("\n") == 1 and "\x1b" not in out.getvalue()


def test_each_step_may_end_it():
    def stop() -> None:
        raise KeyboardInterrupt

    line = StudyLine("label check", 5, 125.0, stop, io.StringIO())
    with pytest.raises(KeyboardInterrupt):
        line.step(0, Progress(1, 2, 0.01, 1.5, 12, 16))


def test_the_first_network_corrects_the_forecast():
    out = io.StringIO()
    line = StudyLine("label check", 5, 125.0, out=out)
    line._began -= 100
    for number in (0, 1, 1, 2):
        line.step(number, Progress(1, 2, 0.01, 1.5, 12, 16))
    assert out.getvalue().endswith("\n  network 1 took 1:40, about 6:40 left\n")
