"""Training from Python: the command `train` as a function, for notebooks and other programs."""

import argparse
import contextlib
import difflib
import inspect
import os
import signal
from collections.abc import Mapping, Sequence
from typing import Any

from pigeonhole import cli, extras, terminal
from pigeonhole.arguments import as_path, filled, interval, names
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.interrupts import Terminated
from pigeonhole.jobs.job import Job
from pigeonhole.jobs.trained import Run
from pigeonhole.runs import digests
from pigeonhole.runs.config import FLAGS, NEWEST
from pigeonhole.training import callbacks as listening
from pigeonhole.training.callbacks import Listener


def train(
    data: str | os.PathLike[str] | None = None,
    *,
    network: str | None = None,
    minutes: float | None = None,
    callbacks: Sequence[Listener] = (),
    verbose: bool = False,
    **settings: Any,
) -> Run:
    """Train on a folder that holds one folder of pictures per class, and save the run.

    The settings are the flags of `pigeonhole train`, with _ for -, and have the same defaults: without
    `network`, several ways are tried with photos. `data` may be left out with `resume` and `repeat` alone.

    `callbacks`: objects with the methods of `Callback`, or functions, that are told of each step and each
    validation. `verbose`: print what `pigeonhole train --verbose` prints; otherwise nothing is printed.

    Ctrl-C, or the button of a notebook that interrupts, keeps the best network so far: the run then says
    `is_complete` False, and `resume` goes on with it. It can be called in any thread; signals are heeded in
    the main thread only, and are as before when it has ended.

    Raises UsageError for a setting that is unknown or wrong, PigeonholeError where the pictures or the
    machine do not allow the training, where the loss is no longer a number (the best network from before is
    saved in the run that the message names), and where a repetition came out differently.
    """
    given = {"data": data, "network": network, "minutes": minutes, **settings}
    asked = _parsed({name: value for name, value in given.items() if value is not None})
    listening.require(callbacks)
    extras.require("training", *extras.modules_of("train"))
    with contextlib.nullcontext() if verbose else terminal.silent():
        job = _job({**asked, "verbose": verbose}, callbacks)
        return outcome(job, job.train())


def _job(given: Mapping[str, object], callbacks: Sequence[Listener]) -> Job:
    from pigeonhole.jobs import choosing, resuming

    config, previous_run = resuming.config_of(given, workers=1)
    config = choosing.decided(config)
    if config.workers not in (None, 1):
        raise UsageError(f"workers: several processes are for {cli.command('train')}; leave it out")
    return choosing.job(config, previous_run, callbacks=callbacks)


def outcome(job: Job, exit_status: int) -> Run:
    """The run of a job that has ended with this status. Raises what the status stands for."""
    run = Run(job.run.folder)
    if exit_status == cli.TERMINATED:
        signal.raise_signal(signal.SIGTERM)  # the handlers are those of before: it ends the process
        raise Terminated
    if exit_status == cli.INTERRUPTED and not run.result_file.is_file():
        raise KeyboardInterrupt
    if exit_status == 1 and job.config.repeat is not None:
        before = job.setup.previous_run.run
        differing = ", ".join(digests.differing(digests.read(before), digests.read(run)))
        raise PigeonholeError(f"{run}: not identical to {before}: other {differing}")
    if exit_status == 1:
        raise PigeonholeError(
            f"{run}: the loss is no longer a number; the best network before that is saved there"
        )
    return run


def _parsed(settings: Mapping[str, object]) -> dict[str, object]:
    """The settings as `TrainingConfig` takes them: paths and names may be given as texts."""
    flags = {field.name: field for field in FLAGS}
    parsed = {}
    for name, value in settings.items():
        if name not in flags:
            near = difflib.get_close_matches(name, flags, 1)
            meant = f"; did you mean {near[0]}?" if near else "; help(train) lists them"
            raise UsageError(f"{name}: no such setting{meant}")
        parsed[name] = _as_flag(name, value, flags[name].metadata["parsing"])
    return parsed


def _as_flag(name: str, value: object, parsing: Mapping[str, object]) -> object:
    """The value as the flag gives it. Raises UsageError for what is no path or no list."""
    kind, is_list = parsing.get("type"), parsing.get("action") == "append"
    try:
        if kind is as_path:
            return NEWEST if name == "resume" and value is True else as_path(os.fspath(value))
        if kind is filled and isinstance(value, os.PathLike):
            return os.fspath(value)
        if kind is interval:
            return interval(str(value))
        if kind is names or is_list:
            return value.split(",") if isinstance(value, str) else list(value)
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"{name}: {error}") from None
    except TypeError:
        wanted = "path" if kind is as_path else "list"
        raise UsageError(f"{name}: {value!r} is not a {wanted}") from None
    return value


def _signature() -> inspect.Signature:
    """That of `train` with each setting by name, which `help` shows and a notebook completes."""
    own = inspect.signature(train)
    listed = {name: each for name, each in own.parameters.items() if name != "settings"}
    settings = {
        field.name: inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type
        )
        for field in FLAGS
    }
    return own.replace(parameters=(settings | listed).values())


train.__signature__ = _signature()
