"""The training loop of a run: progress shown, history and checkpoints written, stopped when asked to."""

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from pigeonhole.interrupts import Stopped, StopRequest
from pigeonhole.model.interim import Interim
from pigeonhole.runs import checkpoints, live
from pigeonhole.runs.config import TrainingConfig
from pigeonhole.runs.history import History
from pigeonhole.runs.records import Progress, Validation
from pigeonhole.runs.run import Run
from pigeonhole.terminal import say
from pigeonhole.training.callbacks import NOBODY, Told
from pigeonhole.training.distributed.workers import StopTogether, Workers
from pigeonhole.training.failures import Diverged
from pigeonhole.training.progress import ProgressLine
from pigeonhole.training.trainer import Trainer

TERMINATED = 128 + signal.SIGTERM
DIVERGED = 1  # exit status


@dataclass(frozen=True)
class Trained:
    """A training that has ended: how long it took, and the exit status that it asks for."""

    seconds: float
    exit_status: int


def stop_request(workers: Workers | None) -> StopRequest:
    """What stops a training of these workers, or of this process alone."""
    return StopTogether(workers) if workers else StopRequest()


def follow(
    trainer: Trainer,
    run: Run,
    config: TrainingConfig,
    request: StopRequest,
    told: Told = NOBODY,
    interim: Interim | None = None,
) -> Trained:
    """Train to the end, to the early stop or until asked to stop.

    `request`: of `stop_request`, within its block. `told`: who is told of steps and validations. `interim`:
    what writes checkpoints for other programs. A termination leaves a checkpoint only; Ctrl-C leaves also a
    network to save, and so does a loss that is not a number. Raises Diverged where that comes before the
    first validation, and Stuck as the trainer does.
    """
    diverged = False
    shown = ProgressLine(trainer.steps_per_epoch, config.log_every, steps_before=trainer.steps_done)
    history = History(run, trainer.validations, trainer.steps_done, config.log_every)

    def keep(validation: Validation) -> None:
        history.add(validation)
        live.write(run, validation, trainer)
        told.validation(validation)

    with checkpoints.Writer(run, config.checkpoint_minutes) as writer:
        log = partial(history.log, steps_per_epoch=trainer.steps_per_epoch)
        on_step = _after_steps(trainer, request, writer, (shown.step, told.step, log))
        try:
            for validation in trainer.run(on_step):
                keep(validation)
                shown.validation(validation, trainer.total_steps)
                then = interim.after(validation, trainer.total_steps) if interim else None
                writer.write(trainer.state(), then)
        except Diverged as error:
            live.end(run, "stopped")
            if trainer.best is None:
                raise
            diverged = True
            saved = f"saving the best network before that, of epoch {trainer.best.epoch:.1f}"
            say("", f"stopped: {error}", saved)
        except Stopped:
            writer.write(trainer.state())
            writer.wait()
            if request.exit_status != TERMINATED:
                if trainer.best is None:
                    keep(trainer.validate())
                say("", f"stopped; saving the best network so far, of epoch {trainer.best.epoch:.1f}")
    exit_status = DIVERGED if diverged else request.exit_status
    live.end(run, "stopped" if exit_status else "finished")
    return Trained(trainer.state().seconds, exit_status)


def _after_steps(
    trainer: Trainer,
    request: StopRequest,
    writer: checkpoints.Writer,
    tell: Sequence[Callable[[Progress], None]],
) -> Callable[[Progress], None]:
    """What is done after each step: some are told, a stop is heeded, and a checkpoint written in its time."""

    def on_step(progress: Progress) -> None:
        for each in tell:
            each(progress)
        request.check()
        ends_epoch = progress.step % trainer.steps_per_epoch == 0 and not trainer.is_validation_due
        if writer.is_due or (ends_epoch and not writer.is_busy):
            writer.write(trainer.state())

    return on_step


def follow_chief(trainer: Trainer, request: StopRequest) -> int:
    """Train as `follow` does at the chief, but write nothing; the exit status that was asked for."""
    try:
        for _ in trainer.run(lambda progress: request.check()):
            pass
    except Stopped:
        if request.exit_status != TERMINATED and trainer.best is None:
            trainer.validate()
    except Diverged:
        return DIVERGED  # the chief says so
    return request.exit_status
