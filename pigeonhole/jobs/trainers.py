"""From a setup to the network and what trains it, with recipe and number of steps settled."""

import time
from collections.abc import Sequence

from pigeonhole.evaluation.studies import audit
from pigeonhole.features import pretrained
from pigeonhole.jobs.setup import Setup
from pigeonhole.networks import recipes
from pigeonhole.networks.averaging import Averaging
from pigeonhole.networks.recipes import Recipe
from pigeonhole.networks.registry import AUTO, NETWORKS
from pigeonhole.runs import settings
from pigeonhole.runs.config import Settled
from pigeonhole.runs.records import Validation
from pigeonhole.terminal import say
from pigeonhole.training.blueprint import Blueprint
from pigeonhole.training.distributed import agreement
from pigeonhole.training.retraining import Retrainer
from pigeonhole.training.trainer import Trainer


def make(setup: Setup) -> Trainer:
    """The trainer of a new network. Raises PigeonholeError where data or workers do not fit the config."""
    config, previous_run, workers = setup.config, setup.previous_run, setup.workers
    audit.require(setup.sets, config.seed, config.check_unseen, config.learning_curve)
    if workers:
        require_the_same_data(setup)
    if previous_run and not previous_run.changed_options(config, setup.choice.weights_digest):
        trainer = _trainer(setup, previous_run.recipe)
        trainer.earlier = previous_run.earlier
        if previous_run.total_steps is None:
            _fit_longer(trainer, config.minutes * 60)
        else:
            trainer.total_steps = previous_run.total_steps
        trainer.may_restart = previous_run.may_restart
        trainer.restarted_after = previous_run.restarted_after
        return trainer
    if config.minutes:
        trainer = _fitted(setup, config.minutes * 60)
    else:
        brief = config.epochs is not None and setup.is_brief(config.epochs)
        trainer = _trainer(setup, setup.recipe_for(setup.sets.train.num_examples, brief))
        trainer.total_steps = config.steps or trainer.total_steps
    if workers:
        agreement.fit_together(trainer, workers)
    # A network that was published with its settings keeps them, and one with weights needs no second start.
    is_ours = NETWORKS[setup.choice.network].provenance == "ours"
    trainer.may_restart = is_ours and setup.initial_weights is None
    return trainer


def restarted(setup: Setup, stuck: Trainer) -> Trainer:
    """The trainer of the second attempt: the same initial weights, settings that follow from the first's."""
    trainer = _trainer(setup, recipes.after_a_standstill(stuck.recipe))
    trainer.restarted_after = stuck.steps_done
    used_up = stuck.steps_done if setup.config.minutes else 0
    trainer.total_steps = stuck.total_steps - used_up
    return trainer


def settled(setup: Setup, trainer: Trainer, changes: Sequence[str]) -> Settled:
    """What is settled now. `changes`: what is different from when the run was begun."""
    return Settled(
        network=setup.choice.network,
        image_size=setup.image_size,
        channels=setup.channels,
        weights_digest=setup.choice.weights_digest,
        machine=setup.machine,
        recipe=trainer.recipe,
        total_steps=trainer.total_steps,
        steps_per_epoch=trainer.steps_per_epoch,
        changes=tuple(changes),
        may_restart=trainer.may_restart,
        restarted_after=trainer.restarted_after,
        earlier=trainer.earlier,
    )


def retrainer(setup: Setup, trainer: Trainer) -> Retrainer:
    """What trains further networks as `trainer` has trained, as long in proportion to their pictures."""
    count = setup.sets.train.num_examples
    length = trainer.total_steps / setup.recipe_for(count, trainer.recipe.brief).length(count)

    def as_long(num_pictures: int) -> Recipe:
        recipe = setup.recipe_for(num_pictures, trainer.recipe.brief)
        if trainer.restarted_after is not None:
            recipe = recipes.after_a_standstill(recipe)
        return recipe.times_as_long(length)

    return Retrainer(_blueprint(setup), as_long, *pace(trainer.validations))


def pace(validations: Sequence[Validation]) -> tuple[float, float]:
    """Pictures per second over a training, with its validations and checkpoints, and the seconds that its
    first step took longer, to be compiled.

    A median of the speeds between validations would leave out what slows the machine now and then.
    """
    first, last = validations[0], validations[-1]
    shown = sum(each.train.total for each in validations[1:])
    speed = shown / (last.seconds - first.seconds) if shown else last.pictures_per_second
    return speed, max(0.0, first.seconds - first.train.total / speed)


def require_the_same_data(setup: Setup) -> None:
    """Raise PigeonholeError at every worker unless all have the same pictures and weights."""
    sets, is_auto = setup.sets, setup.choice.network == AUTO
    sides = settings.fingerprint(f"{side} {name}" for name, side in sets.sides.items())
    facts = {
        "the data's fingerprint": settings.data_fingerprint(sets.records),
        "the split's fingerprint": sides,
        f"what --{'backbone' if is_auto else 'weights'} holds": setup.choice.weights_digest,
    }
    if is_auto:
        facts[f"whether {pretrained.REQUIREMENT} is installed"] = pretrained.available()
    setup.workers.require_the_same(facts)


def _fitted(setup: Setup, seconds: float) -> Trainer:
    """A trainer with as many steps as fit into the time from now on, as measured with its first steps."""
    say("measuring the first steps ...")
    end = time.perf_counter() + seconds
    count, workers = setup.sets.train.num_examples, setup.workers
    brief, usual = (setup.recipe_for(count, kind) for kind in (True, False))
    trainer = _trainer(setup, brief)
    trainer.fit_to(end - time.perf_counter())
    epochs = trainer.total_steps / trainer.steps_per_epoch
    if brief != usual and not setup.is_brief(workers.from_chief(epochs) if workers else epochs):
        trainer = _trainer(setup, usual)
        trainer.fit_to(end - time.perf_counter())
    return trainer


def _fit_longer(trainer: Trainer, seconds: float) -> None:
    """Add as many steps to a training that was complete as fit into the time."""
    say("measuring the first steps ...")
    before = trainer.earlier[-1].steps
    trainer.total_steps = before + 1
    trainer.fit_to(seconds)
    trainer.total_steps += before


def _trainer(setup: Setup, recipe: Recipe) -> Trainer:
    return _blueprint(setup).trainer(recipe, setup.sets.train, setup.sets.valid, setup.workers)


def _blueprint(setup: Setup) -> Blueprint:
    return Blueprint(
        setup.choice.network,
        setup.config.seed,
        setup.machine.precision,
        Averaging.asked_for(vars(setup.config)),
        setup.initial_weights,
    )
