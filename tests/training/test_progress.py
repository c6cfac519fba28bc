"""The training's line: redrawn in a terminal, kept lines elsewhere."""

import io
from dataclasses import replace

import numpy as np
import pytest

from pigeonhole.runs.records import Progress, Score, Validation
from pigeonhole.training.progress import ProgressLine, clock


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def step(number: int) -> Progress:
    return Progress(number, 100, 0.01, 1.5, 12, 16)


RIGHT = np.arange(100) < 90
VALIDATION = Validation(2.0, 20, 0.01, Score(240, 320, 0.8), Score(90, 100, 0.5), 61.0, 1234.5, True, RIGHT)


def test_a_file_gets_whole_lines_only():
    out = io.StringIO()
    line = ProgressLine(10, out=out)
    line.step(step(1))
    line.validation(VALIDATION, 100)
    assert "\r" not in out.getvalue()
    legend, kept = out.getvalue().splitlines()
    assert "*: the network to save" in legend
    for part in (
        "2.0/10.0",
        "0.800",
        "75.0%",
        "90.0% *  loss  0.500",
        "1,234 pictures/s",
        "1:01 elapsed",
        "left",
    ):
        assert part in kept


def test_the_figures_are_explained_once():
    out = io.StringIO()
    line = ProgressLine(10, out=out)
    line.validation(VALIDATION, 100)
    line.validation(replace(VALIDATION, is_kept=False), 100)
    assert [text.count("*") for text in out.getvalue().splitlines()] == [1, 1, 0]


def test_a_terminal_gets_a_live_line_with_speed_and_time_left():
    out = Terminal()
    line = ProgressLine(10, out=out)
    line.step(step(1))
    line.validation(VALIDATION, 100)
    line._drawn = 0.0
    line.step(step(2))
    live = out.getvalue().rpartition("\r\x1b[K")[2]
    for part in ("step 2/100", "loss  1.500", "train  75.0%", "valid  90.0%", "pictures/s", "left"):
        assert part in live


def test_log_every_keeps_lines_between_validations():
    out = io.StringIO()
    line = ProgressLine(10, log_every=3, out=out)
    for number in range(1, 10):
        line.step(step(number))
    assert [text.split()[1] for text in out.getvalue().splitlines()] == ["3/100", "6/100", "9/100"]


@pytest.mark.parametrize("seconds, shown", [(0, "0:00"), (59.6, "1:00"), (245, "4:05"), (3845, "1:04:05")])
def test_clock(seconds, shown):
    assert clock(seconds) == shown
