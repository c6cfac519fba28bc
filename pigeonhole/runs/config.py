"""What a training is asked for and what is settled afterwards, in two frozen objects."""

import argparse
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pigeonhole.arguments import (
    Effect,
    ReadingFlags,
    as_path,
    below_one,
    count,
    filled,
    flag,
    flags_of,
    interval,
    not_negative,
    positive,
    side,
    thread_count,
    up_to,
)
from pigeonhole.networks import recipes
from pigeonhole.networks.recipes import Recipe
from pigeonhole.networks.registry import AUTO, DEFAULT, NETWORKS
from pigeonhole.runs import search
from pigeonhole.runs.parts import Part

NEWEST = Path("")  # what --resume means without a run

DATA = "data"
NETWORK = "network"
TRAINING = "training (what is not given follows from the data)"
PREVIOUS = "a previous run, with the flags that it was given"
STUDIES = "further trainings, after this one (each says first how long it takes)"
MACHINE = "machine and output"

_network = functools.partial(flag, Effect.OUTCOME, NETWORK)
_length = functools.partial(flag, Effect.LENGTH, TRAINING, one_of="length")
_recipe = functools.partial(flag, Effect.OUTCOME, TRAINING, recipe=True)  # in place of a recipe's setting
_study = functools.partial(flag, Effect.OUTPUT, STUDIES, default=False, action="store_true")


def _previous(text: str, **parsing: object) -> Path | None:
    return flag(Effect.CALL, PREVIOUS, text, type=as_path, metavar="RUN", one_of="previous", **parsing)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(ReadingFlags):
    """What a training is asked for. Each field is a flag of `train`; None: not asked for.

    It is made once and never changed. What follows from it and from the data is in `Settled`.
    Raises UsageError for a value that the flag would refuse.
    """

    data: Path | None = flag(
        Effect.WHERE, DATA, "one folder per class (required)", type=as_path, metavar="FOLDER"
    )
    test: Path | None = flag(
        Effect.WHERE, DATA, "give the accuracy on this folder at the end", type=as_path, metavar="FOLDER"
    )

    network: str | None = _network(
        f"auto: pretrained features first, then what pays (auto; {DEFAULT} with flags for one training)",
        choices=(AUTO, *NETWORKS),
    )
    quick: bool = _network("with auto: stop after the first answer", False, action="store_true")
    single: bool = _network(
        "with auto: answer by the best network alone, not by several", False, action="store_true"
    )
    # The outcome depends on what lies there: `Settled.weights_digest`.
    weights: str | None = flag(
        Effect.WHERE,
        NETWORK,
        "start from a run's network, from a Keras weights file, or from imagenet: efficientnet_lite0 does so "
        "by itself, and the weights of others are downloaded",
        type=filled,
        metavar="START",
    )
    # As of weights.
    backbone: str | None = flag(
        Effect.WHERE,
        NETWORK,
        "with auto: the network whose features it begins with: one of keras.applications, with its file as "
        "--weights where it cannot be downloaded, or a run of yours (efficientnet_lite0)",
        type=filled,
        metavar="NAME|RUN",
    )
    freeze: float | None = _network(
        "with --weights: only the head learns in this share of the training, at its beginning",
        type=below_one,
        metavar="SHARE",
        recipe=True,
    )
    image_size: int | None = _network("the side that pictures are resized to", type=side, metavar="PIXELS")
    flip_average: bool | None = _network(
        "answer by the mean over a picture and its mirror image, in twice the time",
        action=argparse.BooleanOptionalAction,
    )
    shift_average: bool | None = _network(
        "answer by the mean over a picture and two shifted copies, in three times the time",
        action=argparse.BooleanOptionalAction,
    )

    epochs: float | None = _length(
        "times through the training pictures", type=positive, metavar="N", recipe=True
    )
    steps: int | None = _length("batches", type=count, metavar="N")
    minutes: float | None = _length("as long as fits into this time", type=positive, metavar="N")
    batch_size: int | None = _recipe("pictures per step", type=up_to(65_536), metavar="N")
    optimizer: str | None = _recipe(
        "muon: for convolutions, the rest by adamw; sgd: plain gradient descent; momentum: 0.9",
        choices=recipes.OPTIMIZERS,
    )
    schedule: str | None = _recipe("how the learning rate changes", choices=recipes.SCHEDULES)
    decay_steps: int | None = _recipe(
        "with --schedule exponential: the rate falls tenfold after every N", type=count, metavar="N"
    )
    learning_rate: float | None = _recipe("the schedule's highest", type=positive, metavar="RATE")
    weight_decay: float | None = _recipe(
        "of each weight, times the rate, at a step", type=not_negative, metavar="SHARE"
    )
    label_smoothing: float | None = _recipe(
        "of each label, to all classes alike", type=below_one, metavar="SHARE"
    )
    dropout: float | None = _recipe("in place of the network's own rates", type=below_one, metavar="RATE")
    augment: bool | None = _recipe("vary the training pictures", action=argparse.BooleanOptionalAction)
    class_weights: str = flag(
        Effect.OUTCOME,
        TRAINING,
        "balanced: the fewer pictures a class has, the more each counts (none)",
        "none",
        choices=("none", "balanced"),
    )
    validate_every: str | None = _recipe(
        "steps, or epochs as in 0.5epochs (an epoch or several; at least 10 times)",
        type=interval,
        metavar="N",
    )
    patience: int | None = _recipe("stop after N validations without gain", type=count, metavar="N")

    resume: Path | None = _previous(
        "go on with an interrupted training (the newest), or lengthen a finished one", nargs="?", const=NEWEST
    )
    repeat: Path | None = _previous("train again with the same settings, and compare bit by bit")
    force: bool = flag(
        Effect.CALL,
        PREVIOUS,
        "even though data or flags that decide the outcome have changed",
        False,
        action="store_true",
    )

    no_report: bool = _study("no report, and no search for shortcuts and wrong labels")
    check_labels: bool = _study("search all pictures for wrong labels, not only the validation pictures")
    check_unseen: bool = _study("measure how often an unknown class would be noticed")
    learning_curve: bool = _study("forecast what more pictures would bring")

    precision: str = flag(
        Effect.OUTCOME,
        MACHINE,
        "auto: whichever is faster here, by a short measurement (auto)",
        "auto",
        choices=("auto", "float32", "bfloat16"),
    )
    threads: int | None = flag(
        Effect.OUTCOME, MACHINE, "compute threads (one per core)", type=thread_count, metavar="N"
    )
    workers: int | None = flag(
        Effect.WHERE, MACHINE, "train in N processes here, as on N machines (1)", type=up_to(64), metavar="N"
    )
    log_every: int | None = flag(
        Effect.OUTPUT,
        MACHINE,
        "also print a line, and keep the figures, every so many steps",
        type=count,
        metavar="STEPS",
    )
    checkpoint_minutes: float = flag(
        Effect.OUTPUT,
        MACHINE,
        "the most that a killed training loses; also after each epoch (5)",
        5,
        type=positive,
        metavar="N",
    )
    track: list[str] | None = flag(
        Effect.OUTPUT,
        MACHINE,
        "also write what tensorboard or mlflow shows, into the run's folder; repeatable",
        action="append",
        choices=("tensorboard", "mlflow"),
    )
    verbose: bool = flag(
        Effect.OUTPUT, MACHINE, "also print the table of the network's layers", False, action="store_true"
    )
    output: Path = flag(
        Effect.WHERE, MACHINE, "where runs are kept (runs)", search.RUNS, type=as_path, metavar="FOLDER"
    )
    name: str | None = flag(Effect.WHERE, MACHINE, "the run's folder there (date and time)", metavar="NAME")

    @property
    def is_resumed(self) -> bool:
        return self.resume is not None

    @property
    def recipe_changes(self) -> dict[str, object]:
        """The settings that are asked for in place of the recipe's, by name."""
        changes = {field.name: getattr(self, field.name) for field in FLAGS if field.metadata["recipe"]}
        return {name: value for name, value in changes.items() if value is not None}

    def values(self, *effects: Effect) -> dict[str, object]:
        """The flags of these classes by name, as JSON can hold them."""
        chosen = {name: getattr(self, name) for name in named(*effects)}
        return {name: str(value) if isinstance(value, Path) else value for name, value in chosen.items()}


FLAGS = tuple(flags_of(TrainingConfig))
DEFAULTS = {field.name: field.default for field in FLAGS}


def named(*effects: Effect) -> tuple[str, ...]:
    """The names of all flags of these classes."""
    return tuple(field.name for field in FLAGS if field.metadata["effect"] in effects)


def parsed(values: Mapping[str, object]) -> dict[str, object]:
    """Flags by name as `TrainingConfig` takes them, of `values` from a JSON file; others are left out."""
    paths = {field.name for field in FLAGS if field.metadata["parsing"].get("type") is as_path}
    known = {field.name: values[field.name] for field in FLAGS if field.name in values}
    return {
        name: Path(value) if name in paths and value is not None else value for name, value in known.items()
    }


@dataclass(frozen=True)
class Machine:
    """What is computed with: number format, bfloat16's measured gain, compute threads, number of workers.

    `features`: the engine that computes the features of `--network auto`, of `features.extractor`.
    """

    precision: str
    bfloat16_gain: float | None
    threads: int
    workers: int
    features: str = "onnx"


@dataclass(frozen=True)
class SettledCandidate:
    """What is settled about one candidate of `--network auto`, by its name there.

    `network`: in the registry; empty in runs from before it was kept.
    """

    name: str
    precision: str
    recipe: Recipe
    total_steps: int
    network: str = ""


@dataclass(frozen=True)
class Settled:
    """What is settled about a training once its pictures are read and its network is built.

    `image_size` in pixels. `weights_digest`: sha256 of the weights that it starts from, None for random ones.
    `changes`: lines on what is different from when the run was begun, where it is a resumed one.
    `may_restart`: whether it starts once more where its loss does not move; `restarted_after`: the step after
    which it has, None where it has not. `candidates`: with `--network auto` those that are trained, in their
    order; there is then no recipe and no number of steps for all. `earlier`: what a lengthened training was
    before it was lengthened, each time.
    """

    network: str
    image_size: int
    channels: int
    weights_digest: str | None
    machine: Machine
    recipe: Recipe | None
    total_steps: int
    steps_per_epoch: int
    changes: tuple[str, ...] = ()
    may_restart: bool = False
    restarted_after: int | None = None
    candidates: tuple["SettledCandidate", ...] = ()
    earlier: tuple[Part, ...] = ()

    @property
    def epochs(self) -> float:
        return self.total_steps / self.steps_per_epoch

    @property
    def options(self) -> dict[str, object]:
        """What takes the place of flags that left it open, by their names."""
        names = ["network", "channels", "weights_digest"]
        if self.recipe:  # each candidate has a size of its own
            names.append("image_size")
        return {name: getattr(self, name) for name in names}
