"""The progress of a training: a live line in a terminal, plain lines elsewhere."""

import time
from collections.abc import Sequence
from typing import TextIO

from pigeonhole import terminal
from pigeonhole.runs.records import Progress, Validation

REDRAW_SECONDS = 0.2
LEGEND = (
    "train, valid: share of pictures answered correctly; loss: of training, then of validation; "
    "*: the network to save, until another star follows"
)


class ProgressLine:
    """Shows a training: in a terminal one line that is redrawn, and everywhere a line for each validation.

    `log_every`: also print a line every so many steps; None for validations only. `steps_before`: how many
    steps a previous process has done.
    """

    def __init__(
        self,
        steps_per_epoch: int,
        log_every: int | None = None,
        out: TextIO | None = None,
        steps_before: int = 0,
    ):
        self.steps_per_epoch = steps_per_epoch
        self.steps_before = steps_before
        self.log_every = log_every
        self.out = out or terminal.output()
        self.live = self.out.isatty()
        self.started = time.perf_counter()
        self._first_step_done: float | None = None
        self._pictures = 0
        self._drawn = 0.0
        self._running: tuple[float, float] | None = None
        self._validated = ""
        self._is_explained = False

    def step(self, progress: Progress) -> None:
        """Take note of a finished step; redraw at most a few times a second."""
        now = time.perf_counter()
        if self._first_step_done is None:
            self._first_step_done = now  # the first step also compiles: it tells nothing of the speed
        else:
            self._pictures += progress.pictures
        self._smooth(progress.loss, progress.right / progress.pictures)
        if self.log_every and progress.step % self.log_every == 0:
            self._keep(self._text(progress, now))
        elif self.live and now - self._drawn > REDRAW_SECONDS:
            self._drawn = now
            self.out.write("\r\x1b[K" + self._text(progress, now))
            self.out.flush()

    def validation(self, validation: Validation, total_steps: int) -> None:
        """Keep a line with the validation's figures, after one that explains them the first time."""
        if not self._is_explained:
            self._is_explained = True
            self._keep(LEGEND)
        self._validated = f"  valid {validation.valid.accuracy:6.1%}"
        self._keep(
            f"epoch {validation.epoch:5.1f}/{total_steps / self.steps_per_epoch:.1f}"
            f"  loss {validation.train.loss:6.3f}  train {validation.train.accuracy:6.1%}"
            f"  valid {validation.valid.accuracy:6.1%}{' *' if validation.is_kept else '  '}"
            f"  loss {validation.valid.loss:6.3f}"
            f"  {validation.pictures_per_second:7,.0f} pictures/s{_each(validation.worker_speeds)}"
            f"  {clock(validation.seconds)} elapsed, {clock(self._left(validation.step, total_steps))} left"
        )

    def _keep(self, line: str) -> None:
        self.out.write(("\r\x1b[K" if self.live else "") + line + "\n")
        self.out.flush()

    def _smooth(self, loss: float, accuracy: float) -> None:
        if self._running is None:
            self._running = (loss, accuracy)
        else:
            self._running = tuple(
                old + 0.1 * (new - old) for old, new in zip(self._running, (loss, accuracy), strict=True)
            )

    def _text(self, progress: Progress, now: float) -> str:
        loss, accuracy = self._running
        speed = self._pictures / max(now - self._first_step_done, 1e-9)
        return (
            f"step {progress.step:,}/{progress.total_steps:,}  loss {loss:6.3f}  train {accuracy:6.1%}"
            f"{self._validated}  {speed:,.0f} pictures/s"
            f"  {clock(self._left(progress.step, progress.total_steps))} left"
        )

    def _left(self, step: int, total_steps: int) -> float:
        done = max(step - self.steps_before, 1)
        return (time.perf_counter() - self.started) / done * (total_steps - step)


def _each(worker_speeds: Sequence[float]) -> str:
    """The speed of each of several workers."""
    return f" ({' + '.join(f'{speed:,.0f}' for speed in worker_speeds)})" if len(worker_speeds) > 1 else ""


def clock(seconds: float) -> str:
    """Minutes and seconds, `4:05`; from an hour on `1:04:05`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
