"""What a training says before its first step."""

from pigeonhole.jobs.setup import Setup
from pigeonhole.networks import summary
from pigeonhole.networks.averaging import Averaging
from pigeonhole.networks.registry import NETWORKS
from pigeonhole.runs.config import Machine, Settled, TrainingConfig
from pigeonhole.runs.run import Run
from pigeonhole.terminal import titled
from pigeonhole.training.trainer import Trainer

LENGTHS = {"epochs", "steps", "minutes"}


def lines(setup: Setup, settled: Settled, trainer: Trainer, run: Run) -> list[str]:
    """What will be done, and with what."""
    described = [
        *titled("network", _network(setup, trainer)),
        *titled("data", [_data(setup)]),
        *titled("training", _training(setup.config, settled, trainer)),
        *titled("machine", [_machine(settled.machine)]),
        *titled("run", [str(run)]),
    ]
    if trainer.steps_done:
        elapsed = trainer.steps_done / trainer.steps_per_epoch
        described += titled("going on", [f"from step {trainer.steps_done:,}, epoch {elapsed:.1f}"])
    if setup.config.verbose:
        table = (f"  {line}" for line in summary.lines(trainer.model))
        described = ["", *table, "", *described]
    return [*described, ""]


def _network(setup: Setup, trainer: Trainer) -> list[str]:
    described = [f"{setup.choice.network}, {trainer.model.count_params():,} parameters"]
    if setup.initial_weights:
        described.append(f"starts from {setup.initial_weights.describe(setup.sets.classes)}")
    if any(averaging := Averaging.asked_for(vars(setup.config))):
        described.append(f"answers by the mean over {averaging.describe()}")
    return described


def _data(setup: Setup) -> str:
    train, valid = setup.sets.train, setup.sets.valid
    return (
        f"{train.num_examples:,} pictures to learn from, {valid.num_examples:,} to validate with; "
        f"seen at {setup.image_size} x {setup.image_size} pixels"
    )


def _training(config: TrainingConfig, settled: Settled, trainer: Trainer) -> list[str]:
    recipe = settled.recipe
    described = [
        f"{settled.total_steps:,} steps of {recipe.batch_size} pictures, {settled.epochs:.4g} epochs"
    ]
    if trainer.frozen_steps:
        described.append(f"only the head learns in the first {trainer.frozen_steps:,} steps")
    if recipe.image_size != settled.image_size:
        described.append(f"the network enlarges them to {recipe.image_size} x {recipe.image_size} pixels")
    if recipe.frozen_until:
        described.append(f"the layers up to {recipe.frozen_until} stay as they are")
    if recipe.frozen_depthwise:
        described.append("the kernels of depthwise convolutions stay as they are")
    described += [
        f"optimizer {recipe.optimizer}, learning rate up to {recipe.learning_rate:g} ({recipe.schedule})",
        *_earlier(settled),
        f"augmentation: {recipe.augmentation.describe()}",
        f"settings: {_settings(config, settled)}",
    ]
    return described


def _earlier(settled: Settled) -> list[str]:
    """For each time that the training was lengthened, what it was before."""
    lines = []
    for part in settled.earlier:
        told = f"lengthened after {part.steps:,} steps, epoch {part.steps / settled.steps_per_epoch:.4g}"
        if (expected := part.reached.get("expected_accuracy")) is not None:
            told += f", where {100 * expected:.1f} % of new pictures were expected right"
        lines.append(told)
    if lines and settled.recipe.schedule not in ("constant", "exponential"):
        lines.append("the learning rate runs through its schedule again in the steps that were added")
    return lines


def _settings(config: TrainingConfig, settled: Settled) -> str:
    """Where the network's settings come from, and which of them the user has changed."""
    network = NETWORKS[settled.network]
    is_ours = network.provenance == "ours"
    described = "this program's defaults" if is_ours else f"those that {network.name} was published with"
    if network.remark:
        described += f" ({network.remark})"
    if settled.recipe.brief:
        described += " for a short training"
    given = {**config.recipe_changes, "steps": config.steps, "minutes": config.minutes}
    given = {name: value for name, value in given.items() if value is not None}
    if given:
        described += f", except {_listed(given)}"
    replaced = given.keys() | (LENGTHS if LENGTHS & given.keys() else set())
    added = {name: getattr(settled.recipe, name) for name in network.added if name not in replaced}
    if added:
        described += f"; {_listed(added)} {'is' if len(added) == 1 else 'are'} ours"
    return described


def _listed(settings: dict[str, object]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_told(value)}" for name, value in settings.items())


def _machine(machine: Machine) -> str:
    several = f" in each of {machine.workers} workers" if machine.workers > 1 else ""
    measured, gain = "", machine.bfloat16_gain
    if gain is not None and machine.precision == "bfloat16":
        measured = f" ({gain:.2f} times as fast as float32 here)"
    elif gain is not None:
        measured = f" (bfloat16 would be {gain:.2f} times as fast here)"
    return f"{machine.threads} threads{several}, computing in {machine.precision}{measured}"


def _told(value: object) -> str:
    """A flag's value as a user writes it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)
