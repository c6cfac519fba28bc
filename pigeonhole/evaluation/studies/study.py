"""What a study that trains several networks prints: how long it will take, then how far it is."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

from pigeonhole import terminal
from pigeonhole.runs.records import Progress
from pigeonhole.training.progress import REDRAW_SECONDS, clock


@dataclass
class StudyLine:
    """Says what a study does and how long it will take; in a terminal one line is redrawn as it goes.

    `title` names the study, `trainings` is the number of networks it trains, `check` is called at each step.
    """

    title: str
    trainings: int
    seconds: float
    check: Callable[[], None] = lambda: None
    out: TextIO | None = None

    def __post_init__(self):
        self.out = self.out or terminal.output()
        networks = "network" if self.trainings == 1 else "networks"
        self._write(f"{self.title}: {self.trainings} more {networks}, about {clock(self.seconds)}\n")
        self._drawn = 0.0
        self._began = time.perf_counter()
        self._is_corrected = False

    def step(self, number: int, progress: Progress) -> None:
        """Take note of a step of training number `number`, from 0."""
        self.check()
        now = time.perf_counter()
        if number and not self._is_corrected:
            self._is_corrected = True
            left = (now - self._began) / number * (self.trainings - number)
            self.done()
            self._write(f"  network 1 took {clock(now - self._began)}, about {clock(left)} left\n")
        if self.out.isatty() and now - self._drawn > REDRAW_SECONDS:
            self._drawn = now
            self._write(
                f"\r\x1b[K  network {number + 1} of {self.trainings}, "
                f"step {progress.step:,}/{progress.total_steps:,}"
            )

    def done(self) -> None:
        """Remove the line; the results follow."""
        if self.out.isatty():
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        self.out.write(text)
        self.out.flush()
