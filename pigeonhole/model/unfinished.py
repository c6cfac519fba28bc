"""The model of a run whose training has not ended: its best network so far, for those who cannot wait."""

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pigeonhole import cli
from pigeonhole.errors import PigeonholeError
from pigeonhole.model import calibration, metagraph
from pigeonhole.networks.averaging import Averaging
from pigeonhole.networks.building import build
from pigeonhole.runs import checkpoints
from pigeonhole.runs.run import Run
from pigeonhole.terminal import say


@contextlib.contextmanager
def model(run: Run) -> Iterator[Path]:
    """The prefix of a complete model: the run's own, or one made of the interrupted run's last checkpoint.

    That one lies in a temporary folder, says on standard error what it is, and is never unsure: where the
    classes lie among the training pictures is learnt at a training's end. Raises PigeonholeError where the
    training has not got to its first validation.
    """
    if not run.is_interrupted:
        yield run.prefix
        return
    with tempfile.TemporaryDirectory() as folder:
        step = _save_best(run, Path(folder))
        say(f"{run}: the training has not ended; its best network so far, of step {step:,}", to=sys.stderr)
        yield Run(Path(folder)).prefix


def _save_best(run: Run, folder: Path) -> int:
    """Save the best network in `folder`, and give its step."""
    state = checkpoints.newest(run)
    if state is None or state.best_weights is None:
        raise PigeonholeError(
            f"{run}: interrupted before its first validation; go on with: "
            f"{cli.command('train')} --resume {cli.quote(run)}"
        )
    settings = run.settings()
    options, classes = settings["options"], settings["classes"]
    seen, channels = settings["recipe"]["image_size"], options["channels"]
    sides = (options["image_size"] or seen, seen)
    averaging = Averaging.asked_for(options)
    network = build(options["network"], sides, channels, len(classes), averaging=averaging)
    network.set_weights(state.best_weights)
    temperature = calibration.fit_temperature(state.best_logits, state.valid_labels)
    (best,) = [validation for validation in state.validations if validation.is_kept][-1:]
    metagraph.save(network, classes, folder, metagraph.Fitted(best.step, temperature))
    return best.step
