"""All that a training is made from: pictures, machine and the weights that it starts with."""

import contextlib
import functools
import importlib
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pigeonhole.data.parallel import available_cores
from pigeonhole.errors import PigeonholeError
from pigeonhole.features import extractor
from pigeonhole.jobs import backbone, checks
from pigeonhole.jobs.backbone import Trained
from pigeonhole.jobs.checks import NetworkChoice
from pigeonhole.networks.recipes import THUMBNAIL, Recipe
from pigeonhole.networks.registry import AUTO, DEFAULT, NETWORKS
from pigeonhole.runs import seals
from pigeonhole.runs.config import Machine, TrainingConfig
from pigeonhole.runs.previous import PreviousRun
from pigeonhole.terminal import say

if TYPE_CHECKING:
    from pathlib import Path

    from pigeonhole.data.dataset import DataSets
    from pigeonhole.data.folders import Tree
    from pigeonhole.training.distributed.workers import Workers
    from pigeonhole.training.initial_weights import InitialWeights

PRETRAINED_SIZE = 224  # pixels; the side that the pretrained network was trained at
# Of photos that have so many pixels it makes half the mistakes at this side, in the time that it takes for
# them and their mirror images at the other. Enlarged ones among them would hide strangers that are blurred.
LARGER_SIZE = 320
MOST_LARGER = 5_000  # pictures; of more, each should be seen in the time there is
HEADERS_TO_READ = 200  # enough files to tell how large the pictures are
SPLIT_FLAGS = ("split", "seed", "validation_size")  # what decides the sides, besides the pictures


@dataclass(frozen=True)
class Setup:
    """`previous_run`: the run that is resumed or repeated. `workers`: who trains together, None for one.

    `backbone`: with `auto`, whose features it begins with; None for the network that is installed.
    """

    config: TrainingConfig
    previous_run: PreviousRun | None
    choice: NetworkChoice
    initial_weights: "InitialWeights | None"
    sets: "DataSets"
    machine: Machine
    workers: "Workers | None"
    backbone: Trained | None = None

    @property
    def image_size(self) -> int:
        return self.sets.train.images.shape[1]

    @property
    def channels(self) -> int:
        return self.sets.train.images.shape[3]

    @functools.cached_property
    def _all_grey(self) -> bool:
        return all("grey" in record.oddities for record in self.sets.records if not record.skipped)

    def recipe_for(self, num_pictures: int, brief: bool, image_size: int | None = None) -> Recipe:
        """The recipe for so many training pictures, with what is asked for in place of its settings.

        `brief`: for a training of few epochs. `image_size`: the side at which the network looks at pictures,
        if not that of the data.
        """
        network, trained = NETWORKS[self.choice.network], self.initial_weights is not None
        size = image_size or self.image_size
        usual = network.recipe(size, num_pictures, self._all_grey, brief, trained)
        balanced = self.config.class_weights == "balanced"
        return usual.with_given(balanced=balanced, **self.config.recipe_changes)

    def is_brief(self, epochs: float) -> bool:
        count = self.sets.train.num_examples
        return NETWORKS[self.choice.network].is_brief(self.image_size, count, epochs)


def prepare(
    config: TrainingConfig, previous_run: PreviousRun | None = None, workers: "Workers | None" = None
) -> Setup:
    """Read everything that `config` names, and print what was found.

    TensorFlow is started, but for `auto`, which begins without it: see `tensorflow_meanwhile`. Raises
    UsageError and PigeonholeError for what cannot be trained on. `workers` have met by then.
    """
    choice = checks.check(config, previous_run, writes=workers is None or workers.is_chief)
    # The weights come before the pictures, whose reading may take minutes.
    weights, trained = _initial_weights(config, choice), _backbone(config, choice)
    sets = _read_data(config, choice, previous_run, trained)
    is_late = choice.network == AUTO and not (workers or "tensorflow" in sys.modules)
    threads = (config.threads or available_cores()) if is_late else start_tensorflow(config.threads)
    if previous_run and (workers is None or workers.is_chief):
        _tell_changed_environment(previous_run, workers)
    if choice.network == AUTO:  # each candidate has a number format of its own
        features = extractor.usual_engine(previous_run.features if previous_run else extractor.INT8)
        machine = Machine(config.precision, None, threads, workers.count if workers else 1, features)
        return Setup(config, previous_run, choice, None, sets, machine, workers, trained)
    depthwise = NETWORKS[choice.network].depthwise
    machine, workers = _settle_machine(config.precision, depthwise, threads, workers)
    return Setup(config, previous_run, choice, weights, sets, machine, workers)


def _initial_weights(config: TrainingConfig, choice: NetworkChoice) -> "InitialWeights | None":
    """What --weights holds."""
    if choice.source is None or choice.network == AUTO:
        return None
    start_tensorflow(config.threads)
    from pigeonhole.training import initial_weights

    return initial_weights.read(choice.source, choice.network)


def _backbone(config: TrainingConfig, choice: NetworkChoice) -> Trained | None:
    """What --backbone names."""
    if choice.source is None or choice.network != AUTO:
        return None
    start_tensorflow(config.threads)
    return backbone.read(config, choice.source)


def _read_data(
    config: TrainingConfig,
    choice: NetworkChoice,
    previous_run: PreviousRun | None,
    trained: Trained | None,
) -> "DataSets":
    """Read the pictures at the size that the network looks at, and print the pre-flight check."""
    from pigeonhole.data import dataset, labelled
    from pigeonhole.data.sources import sample

    if warning := sample.warning(config.data):
        say(warning)
    if note := labelled.note(config.data, config.labels):
        say(note, to=sys.stderr)
    tree = labelled.scan(config.data, config.classes, config.labels)
    split = _split(config, previous_run)
    if split is not None:
        seals.check(split)
    sets = dataset.read_train_sets(
        config.data,
        choice.image_size or _usual_size(choice.network, tree, trained, previous_run),
        config.classes,
        config.validation_size,
        config.seed,
        channels=config.channels or (3 if choice.network == AUTO else NETWORKS[choice.network].channels),
        fraction=config.fraction,
        split=split,
        fixes=config.fixes,
        labels=config.labels,
        cache_dir=config.cache_dir,
        no_cache=config.no_cache,
        tree=tree,
    )
    say(*sets.preflight.lines())
    sets.require_trainable()
    if previous_run:
        previous_run.refuse(previous_run.changed_data(sets.records, sets.sides), config.force)
    return sets


def _split(config: TrainingConfig, previous_run: PreviousRun | None) -> "Path | None":
    """The previous run's own split, whatever rule made it; for a repetition with another one, what is asked
    for."""
    if previous_run is None:
        return config.split
    asked_anew = any(getattr(config, name) != previous_run.options.get(name) for name in SPLIT_FLAGS)
    return config.split if asked_anew and not config.is_resumed else previous_run.run.split_file


def _usual_size(network: str, tree: "Tree", trained: Trained | None, previous_run: PreviousRun | None) -> int:
    """The side in pixels at which the pictures are read by default."""
    glimpsed = glance(tree)
    if network != AUTO:
        return NETWORKS[network].usual_size(glimpsed.median_side)
    small = NETWORKS[DEFAULT].usual_size(glimpsed.median_side)
    if glimpsed.shows_thumbnails:
        return small
    if trained:
        return max(small, trained.image_size)
    if previous_run:
        return previous_run.image_size or PRETRAINED_SIZE  # as runs did that do not say it
    is_larger = glimpsed.tenth_side >= LARGER_SIZE and len(tree.entries) <= MOST_LARGER
    return LARGER_SIZE if is_larger else PRETRAINED_SIZE


class Glance(NamedTuple):
    """What some pictures of a folder are like: of their shorter sides in pixels the median and what nine in
    ten reach, and whether all are stored as grey ones."""

    median_side: float
    tenth_side: float
    all_grey: bool

    @property
    def shows_thumbnails(self) -> bool:
        return self.median_side <= THUMBNAIL


def glance(tree: "Tree") -> Glance:
    """By the headers of a few hundred files."""
    from pigeonhole.pictures import images

    step = max(1, len(tree.entries) // HEADERS_TO_READ)
    found = []
    for entry in tree.entries[::step]:
        try:
            found.append(images.inspect(entry.path.read_bytes()))
        except (images.ImageError, OSError):
            continue  # the survey of all files will say so
    if not found:
        return Glance(1.0, 1.0, all_grey=True)
    sides = [min(facts.width, facts.height) for facts in found]
    return Glance(*np.quantile(sides, (0.5, 0.1)), all("grey" in facts.oddities for facts in found))


def start_tensorflow(threads: int | None) -> int:
    """Import TensorFlow and set its threads, one for each core where None is asked for; their number.

    Raises PigeonholeError where it computes in this process already, with another number.
    """
    from pigeonhole.quiet import import_tensorflow

    import_tensorflow()
    import tensorflow as tf

    wanted = threads or available_cores()
    try:
        tf.config.threading.set_intra_op_parallelism_threads(wanted)
        tf.config.threading.set_inter_op_parallelism_threads(wanted)
    except RuntimeError as error:  # a notebook has computed before
        running = tf.config.threading.get_intra_op_parallelism_threads()
        if threads or not running:
            raise PigeonholeError(
                f"--threads {wanted}: TensorFlow has already begun with {running or 'its own number of'} "
                "threads in this process; leave the number out, or begin a new process"
            ) from error
        return running
    return wanted


@contextlib.contextmanager
def tensorflow_meanwhile(threads: int | None) -> Iterator[None]:
    """Start TensorFlow, and import what comes next, in a thread beside the block; at its end it has started.

    That takes seconds of one core. The block is for work outside of Python, on what is imported already. What
    native code writes to standard error in the meantime may be lost.
    """

    def start() -> None:
        start_tensorflow(threads)
        for module in ("pigeonhole.jobs.mixed", "scipy.optimize", "sklearn.covariance"):
            importlib.import_module(module)

    with ThreadPoolExecutor(1) as pool:  # which waits, also after an error or Ctrl-C
        starting = pool.submit(start)
        yield
    starting.result()


def _tell_changed_environment(previous_run: PreviousRun, workers: "Workers | None") -> None:
    """Say what is another version, processor or number of workers than that of the previous run."""
    from pigeonhole.runs import settings

    count = str(workers.count if workers else 1)
    environment = {**settings.versions(), "processor": settings.processor(), "workers": count}
    for change in previous_run.changed_environment(environment):
        say(f"note: {change}: the outcome may differ in its last bits", to=sys.stderr)


def _settle_machine(
    asked_precision: str, depthwise: bool, threads: int, workers: "Workers | None"
) -> tuple[Machine, "Workers | None"]:
    """Choose the number format, and take all GPUs of this machine if it has several."""
    from pigeonhole.training import precision
    from pigeonhole.training.distributed.workers import gpus_of_this_machine

    count = workers.count if workers else 1
    workers = workers or gpus_of_this_machine()
    chosen = None
    if workers is None or workers.is_chief:
        chosen = precision.choose(asked_precision, depthwise)
    chosen = workers.from_chief(chosen) if workers else chosen
    return Machine(*chosen, threads, count), workers
