"""Train a classifier on a folder of class folders and save it as a run, from which `predict` answers.

    pigeonhole train --data training_data
    pigeonhole train --resume                 go on with the newest training that was interrupted
    pigeonhole train --repeat runs/NAME       train again just so, and say whether the outcome is identical
    pigeonhole train --data training_data --workers 2    as on two machines; TF_CONFIG names real ones
    pigeonhole train --data my_pictures --weights runs/NAME      start from what an earlier run has learnt

Ctrl-C ends the training early; the best network so far is then saved all the same.
"""

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pigeonhole import cli
from pigeonhole.commands import training_flags
from pigeonhole.errors import PigeonholeError
from pigeonhole.networks import recipes
from pigeonhole.networks.registry import NETWORKS
from pigeonhole.runs import previous, runs
from pigeonhole.runs.previous import Earlier
from pigeonhole.training.distributed import agreement, cluster, launcher
from pigeonhole.training.distributed.cluster import Cluster

if TYPE_CHECKING:
    from pigeonhole.data.dataset import DataSets
    from pigeonhole.evaluation.studies.audit import Looker
    from pigeonhole.runs.records import Progress, Validation
    from pigeonhole.training.distributed.workers import Workers
    from pigeonhole.training.trainer import Trainer
    from pigeonhole.training.warm_start import Start

RecipeFor = Callable[[int, bool], recipes.Recipe]  # number of training pictures, whether brief -> recipe

HEADERS_TO_READ = 200  # enough files to tell how large the pictures are
HISTORY = "history.csv"
RECIPE_FLAGS = (
    "epochs", "batch_size", "optimizer", "schedule", "decay_steps", "learning_rate", "weight_decay",
    "label_smoothing", "dropout", "patience", "augment", "freeze",
)  # fmt: skip
TERMINATED = 128 + signal.SIGTERM


@dataclass(frozen=True)
class Machine:
    """What is computed with: number format, bfloat16's measured gain, compute threads, number of workers."""

    precision: str
    bfloat16_gain: float | None
    threads: int
    workers: int


@dataclass(frozen=True)
class Followed:
    """A training that has ended: how long it took, and the exit status it asks for."""

    seconds: float
    exit_status: int


def main(arguments: list[str]) -> int:
    place = cluster.from_environment()
    if place and not place.is_chief:
        return assist(arguments, place)
    options, before = training_flags.parse(arguments, __doc__, place)
    training_flags.check_paths(options)
    training_flags.settle_network(options, before)
    training_flags.check_network(options)
    if (options.workers or 1) > 1 and not place:
        return launcher.run([*cli.process("train"), *arguments], options.workers)
    workers = None
    if place:
        workers, _ = join(arguments, options, place, before)
    begin = read_weights(options)
    sets, recipe_for = read_data(options, before)
    machine, workers = prepare_machine(options, before, workers)
    trainer = prepare_training(options, recipe_for, machine, sets, before, workers, begin)
    run = before.run if options.resume else runs.new_run(options.output, options.name)
    with runs.held(run):
        start(run, options, machine, sets, trainer, before, workers, begin)
        with resumable(run):
            followed = follow(trainer, run, options, workers)
            if followed.exit_status == TERMINATED:
                print(f"terminated  go on with: {resume_command(run)}")
                return TERMINATED
            further = looker(options, recipe_for, machine, sets, trainer, begin)
            conclude(run, options, sets, trainer, followed, further)
    if not followed.exit_status:
        shutil.rmtree(run / runs.CHECKPOINTS)  # the training has come to its end
    same = not options.repeat or followed.exit_status != 0 or compare(before, run)
    return followed.exit_status or further.exit_status or (0 if same else 1)


def assist(arguments: list[str], place: Cluster) -> int:
    """Train as one of several workers, with what the chief has been told and found; it alone writes."""
    options = training_flags.given(arguments, __doc__)
    print(f"{place.name(place.index)} of {len(place.addresses)}; {place.name(0)} writes", flush=True)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(None):
        workers, chiefs = join(arguments, options, place, None)
        before = agreement.adopt(options, chiefs, Path(folder))
        training_flags.check_paths(options, writes=False)
        training_flags.settle_network(options, before)
        begin = read_weights(options)
        sets, recipe_for = read_data(options, before)
        machine, workers = prepare_machine(options, before, workers)
        trainer = prepare_training(options, recipe_for, machine, sets, before, workers, begin)
        if options.resume:
            agreement.restore_together(trainer, workers)
        exit_status = follow_chief(trainer, workers)
    print(f"{place.name(place.index)} has ended after step {trainer.steps_done:,}", flush=True)
    return exit_status


def read_weights(options: argparse.Namespace) -> "Start | None":
    """What --weights holds; it is looked into before the pictures, whose reading may take minutes."""
    if options.weights is None:
        return None
    start_tensorflow(options)
    from pigeonhole.training import warm_start, weights_source

    return warm_start.read(weights_source.find(options.weights, options.network), options.network)


def read_data(options: argparse.Namespace, before: Earlier | None) -> tuple["DataSets", RecipeFor]:
    """Read the pictures at the size the recipe wants, print the pre-flight, settle the recipes."""
    from pigeonhole.data import dataset, folders
    from pigeonhole.data.sources import sample

    if warning := sample.warning(options.data):
        print(warning)
    tree = folders.scan(options.data, options.classes)
    if options.image_size is None:
        options.image_size = NETWORKS[options.network].usual_size(_median_side(tree))
    if options.channels is None:
        options.channels = NETWORKS[options.network].channels
    split = before.run / previous.SPLIT if options.resume else options.split
    sets = dataset.read_train_sets(
        options.data,
        options.image_size,
        options.classes,
        options.validation_size,
        options.seed,
        channels=options.channels,
        fraction=options.fraction,
        split=split,
        fixes=options.fixes,
        cache_dir=options.cache_dir,
        no_cache=options.no_cache,
        tree=tree,
    )
    print("\n".join(sets.preflight.lines()))
    sets.preflight.require_trainable()
    if before:
        training_flags.refuse(before, before.changed_data(sets.records, sets.sides), options.force)
    all_grey = all("grey" in record.oddities for record in sets.records if not record.skipped)

    def recipe_for(num_pictures: int, brief: bool) -> recipes.Recipe:
        trained = options.weights is not None
        network = NETWORKS[options.network]
        usual = network.recipe(options.image_size, num_pictures, all_grey, brief, trained)
        balanced = options.class_weights == "balanced"
        return usual.with_given(balanced=balanced, **{name: getattr(options, name) for name in RECIPE_FLAGS})

    return sets, recipe_for


def _median_side(tree) -> float:
    """The median of the shorter sides of some of the pictures, in pixels."""
    from pigeonhole.pictures import images

    step = max(1, len(tree.entries) // HEADERS_TO_READ)
    sides = []
    for entry in tree.entries[::step]:
        try:
            facts = images.inspect(entry.path.read_bytes())
        except (images.ImageError, OSError):
            continue  # the survey of all files will say so
        sides.append(min(facts.width, facts.height))
    return float(np.median(sides)) if sides else 1.0


def join(
    arguments: list[str], options: argparse.Namespace, place: Cluster, before: Earlier | None
) -> tuple["Workers", dict[str, object]]:
    """Meet the other workers, and learn the chief's plan."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # else TensorFlow reports workers that have ended well
    start_tensorflow(options)
    given = training_flags.given(arguments, __doc__)
    return agreement.join(place, agreement.plan(given, options, before))


def start_tensorflow(options: argparse.Namespace) -> int:
    """Import TensorFlow and set its threads; their number."""
    from pigeonhole.quiet import import_tensorflow

    import_tensorflow()
    import tensorflow as tf

    threads = options.threads or launcher.available_cores()
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    return threads


def prepare_machine(
    options: argparse.Namespace, before: Earlier | None, workers: "Workers | None"
) -> tuple[Machine, "Workers | None"]:
    """Start TensorFlow, decide the number format, and take all GPUs of this machine if it has several."""
    threads = start_tensorflow(options)
    from pigeonhole.runs import settings
    from pigeonhole.training import precision
    from pigeonhole.training.distributed.workers import gpus_of_this_machine

    count = workers.count if workers else 1
    if before and (workers is None or workers.is_chief):
        environment = {**settings.versions(), "processor": settings.processor(), "workers": str(count)}
        for change in before.changed_environment(environment):
            print(f"note: {change}: the outcome may differ in its last bits", file=sys.stderr)
    workers = workers or gpus_of_this_machine()
    chosen = precision.choose(options.precision) if workers is None or workers.is_chief else None
    chosen = workers.from_chief(chosen) if workers else chosen
    return Machine(*chosen, threads, count), workers


def prepare_training(
    options,
    recipe_for: RecipeFor,
    machine: Machine,
    sets: "DataSets",
    before: Earlier | None,
    workers: "Workers | None",
    begin: "Start | None",
) -> "Trainer":
    """The trainer of a new network, with its recipe and the number of steps settled."""
    from pigeonhole.evaluation.studies import audit
    from pigeonhole.runs import settings

    audit.require(sets, options.seed, options.check_unseen, options.learning_curve)
    if workers:
        sides = settings.fingerprint(f"{side} {name}" for name, side in sets.sides.items())
        workers.require_the_same(
            {
                "the data's fingerprint": settings.data_fingerprint(sets.records),
                "the split's fingerprint": sides,
                "what --weights holds": options.weights_digest,
            }
        )
    count = sets.train.num_examples

    def trainer_by(recipe: recipes.Recipe) -> "Trainer":
        return assemble(options, recipe, machine, sets, workers, begin)

    def is_brief(epochs: float) -> bool:
        return NETWORKS[options.network].is_brief(options.image_size, count, epochs)

    if before and not before.changed_options(vars(options)):
        trainer = trainer_by(before.recipe)
        trainer.total_steps = before.total_steps
    elif options.minutes:
        print("measuring the first steps ...", flush=True)
        end = time.perf_counter() + options.minutes * 60
        brief, usual = (recipe_for(count, kind) for kind in (True, False))
        trainer = trainer_by(brief)
        trainer.fit_to(end - time.perf_counter())
        epochs = trainer.total_steps / trainer.steps_per_epoch
        if brief != usual and not is_brief(workers.from_chief(epochs) if workers else epochs):
            trainer = trainer_by(usual)
            trainer.fit_to(end - time.perf_counter())
    else:
        trainer = trainer_by(recipe_for(count, options.epochs is not None and is_brief(options.epochs)))
        trainer.total_steps = options.steps or trainer.total_steps
    if workers:
        trainer.total_steps = workers.from_chief(trainer.total_steps)
    return trainer


def assemble(
    options,
    recipe: recipes.Recipe,
    machine: Machine,
    sets: "DataSets",
    workers: "Workers | None",
    begin: "Start | None",
) -> "Trainer":
    """A new network, the same for the same seed, and what trains it by `recipe`."""
    import keras

    from pigeonhole.networks.averaging import Averaging
    from pigeonhole.networks.building import build
    from pigeonhole.training.trainer import Trainer

    keras.utils.set_random_seed(options.seed)
    with workers.strategy.scope() if workers else contextlib.nullcontext():
        model = build(
            options.network,
            recipe.image_size,
            options.channels,
            len(sets.classes),
            machine.precision,
            Averaging.asked_for(vars(options)),
        )
        if begin:
            begin.put_into(model, sets.classes)
        return Trainer(model, sets.train, sets.valid, recipe, options.seed, workers)


def announce(
    options, machine: Machine, sets: "DataSets", trainer: "Trainer", run: Path, begin: "Start | None"
) -> None:
    """Say what will be done before it is done."""
    from pigeonhole.networks import summary
    from pigeonhole.networks.averaging import Averaging

    recipe, epochs = trainer.recipe, trainer.total_steps / trainer.steps_per_epoch
    gain = machine.bfloat16_gain
    measured = "" if gain is None else f" (bfloat16 measured {gain:.2f} times as fast)"
    print()
    for line in summary.lines(trainer.model):
        print(f"  {line}")
    print()
    print(f"network     {options.network}, {trainer.model.count_params():,} parameters")
    if any(averaging := Averaging.asked_for(vars(options))):
        print(f"            answers by the mean over {averaging.describe()}")
    if begin:
        print(f"weights     {begin.describe(sets.classes)}")
    print(
        f"data        training {sets.train.num_examples:,} pictures, validation {sets.valid.num_examples:,}"
    )
    print(f"training    {trainer.total_steps:,} steps of {recipe.batch_size} pictures, {epochs:.4g} epochs")
    if trainer.frozen_steps:
        print(f"            only the head learns in the first {trainer.frozen_steps:,}")
    print(f"            {recipe.optimizer}, {recipe.schedule} learning rate up to {recipe.learning_rate:g}")
    print(f"            {told_settings(options, recipe)}")
    print(f"            {recipe.augmentation.describe()}")
    several = f", each of {machine.workers} workers" if machine.workers > 1 else ""
    print(f"machine     {machine.threads} threads{several}, {machine.precision}{measured}")
    print(f"run         {run}")
    if trainer.steps_done:
        gone = trainer.steps_done / trainer.steps_per_epoch
        print(f"going on    from step {trainer.steps_done:,}, epoch {gone:.1f}")
    print(flush=True)


def told_settings(options: argparse.Namespace, recipe: recipes.Recipe) -> str:
    """Whose the network's settings are, and what makes this training another."""
    words = {True: "on", False: "off"}
    changes = [
        f"{name.replace('_', ' ')} {words[value] if isinstance(value, bool) else value}"
        for name in (*RECIPE_FLAGS, "steps", "minutes")
        if (value := getattr(options, name)) is not None
    ]
    told = f"settings {NETWORKS[options.network].provenance}{' for a short training' if recipe.brief else ''}"
    return f"{told}, but for {', '.join(changes)}" if changes else told


def start(
    run: Path,
    options,
    machine: Machine,
    sets: "DataSets",
    trainer: "Trainer",
    before: Earlier | None,
    workers: "Workers | None",
    begin: "Start | None",
) -> None:
    """Bring a resumed trainer to where it was, say what will be done, and write down what is known."""
    changes: list[str] = []
    if options.resume:
        of_data = before.changed_data(sets.records, sets.sides)
        changes = before.changed_midway + before.changed_options(vars(options)) + of_data
        restore(run, trainer, same_pictures=not of_data)
        if workers:
            agreement.restore_together(trainer, workers)
    announce(options, machine, sets, trainer, run, begin)
    if not options.resume or changes:
        write_start(run, options, machine, sets, trainer, changes)


def restore(run: Path, trainer: "Trainer", same_pictures: bool) -> None:
    """Bring the trainer to where the run's last checkpoint was; without one it begins anew."""
    from pigeonhole import atomic_file
    from pigeonhole.runs import checkpoints

    atomic_file.remove_leftovers(run)
    state = checkpoints.newest(run)
    if state is None:
        return
    try:
        trainer.restore(state if same_pictures else state.without_validations())
    except ValueError as error:
        raise PigeonholeError(f"{run}: its checkpoint is of another network; train anew") from error


def write_start(
    run: Path, options, machine: Machine, sets: "DataSets", trainer: "Trainer", changes: list[str]
) -> None:
    """Write what is known before the first step: split, what each picture looks like, and settings.

    The settings come last: a run that has them can be gone on with. `changes`: those that were accepted since
    the run began.
    """
    from pigeonhole.data import split
    from pigeonhole.evaluation import leakage
    from pigeonhole.runs import settings

    split.write_split(run / previous.SPLIT, sets.records, sets.sides)
    record_of = {record.entry.name: record for record in sets.records}
    records = [record_of[name] for name in sets.everything.names]
    leakage.write(run, records, sets.everything.images, sets.sides)
    flags = {name: value for name, value in vars(options).items() if name not in previous.FLAGS}
    settings.write(run, flags, asdict(machine), sets.classes, sets.records, trainer.plan, changes)


def resume_command(run: Path) -> str:
    return f"{cli.command('train')} --resume {cli.quote(run)}"


@contextlib.contextmanager
def resumable(run: Path) -> Iterator[None]:
    """Add to the error of a full or failing disk that what the last checkpoint holds is not lost."""
    try:
        yield
    except OSError as error:
        place = f": {error.filename}" if error.filename else ""
        raise PigeonholeError(
            f"{error.strerror or error}{place}; mend that, and go on with: {resume_command(run)}"
        ) from error


def follow(trainer: "Trainer", run: Path, options, workers: "Workers | None") -> Followed:
    """Train to the end, to the early stop or until asked to stop."""
    from pigeonhole.interrupts import Stopped, StopRequest
    from pigeonhole.runs import checkpoints, live
    from pigeonhole.runs.history import History
    from pigeonhole.training.distributed.workers import StopTogether
    from pigeonhole.training.progress import ProgressLine

    shown = ProgressLine(trainer.steps_per_epoch, options.log_every, steps_before=trainer.steps_done)
    history = History(run / HISTORY, trainer.validations)
    request = StopTogether(workers) if workers else StopRequest()

    def on_step(progress: "Progress") -> None:
        shown.step(progress)
        request.check()
        ends_epoch = progress.step % trainer.steps_per_epoch == 0 and not trainer.is_validation_due
        if writer.is_due or (ends_epoch and not writer.is_busy):
            writer.write(trainer.state())

    def keep(validation: "Validation") -> None:
        history.add(validation)
        live.write(run, validation, trainer)

    with checkpoints.Writer(run, options.checkpoint_minutes) as writer, request:
        try:
            for validation in trainer.run(on_step):
                keep(validation)
                shown.validation(validation, trainer.total_steps)
                writer.write(trainer.state())
        except Stopped:
            writer.write(trainer.state())
            writer.wait()
            if request.exit_status != TERMINATED:
                if trainer.best is None:
                    keep(trainer.validate())
                print(f"\nstopped; saving the best network so far, of epoch {trainer.best.epoch:.1f}")
    live.end(run, "stopped" if request.exit_status else "finished")
    return Followed(trainer.state().seconds, request.exit_status)


def follow_chief(trainer: "Trainer", workers: "Workers") -> int:
    """Train as `follow` does at the chief, but write nothing; the exit status that was asked for."""
    from pigeonhole.interrupts import Stopped
    from pigeonhole.training.distributed.workers import StopTogether

    with StopTogether(workers) as request:
        try:
            for _ in trainer.run(lambda progress: request.check()):
                pass
        except Stopped:
            if request.exit_status != TERMINATED and trainer.best is None:
                trainer.validate()
    return request.exit_status


def looker(
    options,
    recipe_for: RecipeFor,
    machine: Machine,
    sets: "DataSets",
    trainer: "Trainer",
    begin: "Start | None",
) -> "Looker":
    """What looks further into the data, if need be by training as long in proportion as this training did."""
    from pigeonhole.evaluation.studies.audit import Looker
    from pigeonhole.networks.averaging import Averaging
    from pigeonhole.training.retraining import Retrainer

    length = trainer.total_steps / trainer.recipe.length(sets.train.num_examples)

    def as_long(num_pictures: int) -> recipes.Recipe:
        return recipe_for(num_pictures, trainer.recipe.brief).times_as_long(length)

    retrainer = Retrainer(
        options.network,
        options.channels,
        as_long,
        machine.precision,
        options.seed,
        pictures_per_second=float(np.median([each.pictures_per_second for each in trainer.validations])),
        start=begin,
        averaging=Averaging.asked_for(vars(options)),
    )
    return Looker(sets, retrainer, options.seed)


def conclude(
    run: Path, options, sets: "DataSets", trainer: "Trainer", followed: Followed, looker: "Looker"
) -> None:
    """Save the network, say how good it is and what was found, write the report, and say what to do next."""
    from pigeonhole.data import cache
    from pigeonhole.evaluation.studies.audit import Findings
    from pigeonhole.jobs import conclusion
    from pigeonhole.model import rejection
    from pigeonhole.model.classifier import Classifier
    from pigeonhole.runs import digests
    from pigeonhole.training import saving
    from pigeonhole.training.progress import clock

    stopped = followed.exit_status != 0
    unseen = looker.unseen_classes() if options.check_unseen and not stopped else None
    rule = rejection.COMBINED if unseen is None else unseen.rule
    if reason := saving.finish(run, trainer, rule):
        print(f"no {runs.ONNX}: {reason}")
    corrected = saving.expected_accuracy(trainer.validations, trainer.recipe)
    findings = Findings(unseen=unseen)
    with Classifier.load(run, engine="tensorflow") as classifier:
        answers, measures = conclusion.tell_accuracy(classifier, options.data, sets, corrected)
        if not (stopped or options.no_report):
            findings = looker.look(answers, findings, options.check_labels, options.learning_curve)
            print("\n".join(findings.lines()))
            conclusion.write_report(run, sets, answers, measures, classifier, corrected, findings)
        if options.test:
            store = cache.of_flags(options.cache_dir, options.no_cache)
            conclusion.test(classifier, run, options.test, store)
    outcome = digests.digests(trainer.best_weights, trainer.validations, answers.probabilities)
    conclusion.write_result(run, corrected, followed.seconds, findings, outcome)
    print(f"time        {clock(followed.seconds)} (minutes:seconds)")
    print(f"kept        the network of epoch {trainer.best.epoch:.1f}")
    print(f"saved       {run}")
    print(f"next        {cli.command('predict')} --model {cli.quote(run)} {cli.quote(a_picture(sets))}")
    if stopped:
        print(f"            {resume_command(run)}")


def compare(before: Earlier, run: Path) -> bool:
    """Say whether the run came out as the one that it repeats."""
    from pigeonhole.runs import digests

    differing = digests.differing(digests.read(before.run), digests.read(run))
    if differing:
        print(f"repeated    not identical to {before.run}: other {', '.join(differing)}")
    else:
        print(f"repeated    identical to {before.run}: weights, history and predictions")
    return not differing


def a_picture(sets: "DataSets") -> Path:
    """One of the pictures that the user has, for the command to try next."""
    return next(record.entry.path for record in sets.records if sets.sides.get(record.entry.name) == "valid")
