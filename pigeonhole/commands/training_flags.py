"""What `train` is asked for: its flags, and those of the earlier run that it goes on with or repeats."""

import argparse
from pathlib import Path

from pigeonhole.arguments import Parser, add_reading_flags, below_one, count, not_negative, positive
from pigeonhole.errors import UsageError
from pigeonhole.networks import recipes
from pigeonhole.networks.registry import DEFAULT, NETWORKS
from pigeonhole.runs import previous, runs
from pigeonhole.runs.previous import Earlier
from pigeonhole.training import weights_source
from pigeonhole.training.distributed import cluster
from pigeonhole.training.distributed.cluster import Cluster

NEWEST = Path("")  # what --resume means without a run


def parse(
    arguments: list[str], description: str, place: Cluster | None = None
) -> tuple[argparse.Namespace, Earlier | None]:
    """The command line, checked as far as that goes without reading pictures.

    With --resume and --repeat also the run that is meant, whose own flags hold wherever none is given.
    `place`: this process's among several workers. Leaves with status 2 on a wrong flag, raises UsageError on
    flags that fit no run.
    """
    parser = _parser(description)
    options = parser.parse_args(arguments)
    workers = len(place.addresses) if place else options.workers or 1
    if options.workers not in (None, workers):
        parser.error(
            f"--workers {options.workers}: {cluster.VARIABLE} names {workers}; give one or the other"
        )
    if options.resume is None and options.repeat is None:
        if options.data is None:
            parser.error("--data is required: the folder that holds one folder per class")
        if options.force:
            parser.error("--force belongs to --resume or --repeat")
        return options, None
    if options.name and options.resume is not None:
        parser.error("--name cannot be given with --resume: the run has its name")
    run = _named_run(options)
    before = previous.read(run)
    if before.environment["workers"] != str(workers):
        before.options["threads"] = options.threads  # each of another number of workers has its own
    own = ("output", "name", "workers")
    kept = {name: value for name, value in before.options.items() if name not in own}
    options = parser.parse_args(arguments, argparse.Namespace(**kept))
    if options.repeat and before.changed_midway:
        raise UsageError(f"--repeat {run}: changed midway ({'; '.join(before.changed_midway)})")
    options.resume = run if options.resume is not None else None
    if lengths := [name for name in previous.LENGTHS if getattr(options, name) != before.options.get(name)]:
        vars(options).update({name: None for name in previous.LENGTHS if name not in lengths})
    refuse(before, before.changed_options(vars(options)), options.force)
    return options, before


def given(arguments: list[str], description: str) -> argparse.Namespace:
    """The flags of the command line alone, as one of several workers is given them."""
    return _parser(description).parse_args(arguments)


def _named_run(options: argparse.Namespace) -> Path:
    """The folder of the run to go on with or to repeat. Raises UsageError when there is none."""
    if options.resume == NEWEST:
        if run := runs.unfinished(options.output):
            return run
        raise UsageError(f"--resume: no interrupted training in {options.output}")
    flag, named = ("--repeat", options.repeat) if options.resume is None else ("--resume", options.resume)
    for run in (named, options.output / named):
        if run.is_dir():
            break
    else:
        raise UsageError(f"{flag} {named}: no such run")
    if flag == "--resume" and not (run / runs.CHECKPOINTS).is_dir():
        raise UsageError(f"--resume {named}: this training has come to its end; nothing is left to do")
    if flag == "--repeat" and (run / runs.CHECKPOINTS).is_dir():
        raise UsageError(f"--repeat {named}: this training has not come to its end; --resume goes on with it")
    return run


def refuse(before: Earlier, changes: list[str], force: bool) -> None:
    """Raise UsageError, naming the changes since the earlier run, unless they are forced."""
    if changes and not force:
        raise UsageError(
            f"not as {before.run} was begun: {'; '.join(changes)}; --force accepts another outcome"
        )


def _parser(description: str) -> argparse.ArgumentParser:
    parser = Parser("train", description)
    data = parser.add_argument_group("data")
    data.add_argument("--data", type=Path, metavar="FOLDER", help="one folder per class (required)")
    data.add_argument(
        "--test", type=Path, metavar="FOLDER", help="give the accuracy on this folder at the end"
    )
    add_reading_flags(data)
    parser.set_defaults(channels=None)  # it follows from the network
    _add_network_flags(parser.add_argument_group("network"))
    _add_training_flags(parser.add_argument_group("training (what is not given follows from the data)"))
    _add_earlier_flags(parser.add_argument_group("an earlier run, with the flags that it was given"))
    _add_study_flags(
        parser.add_argument_group("further trainings, after this one (each tells its time first)")
    )
    _add_output_flags(parser.add_argument_group("machine and output"))
    return parser


def _add_network_flags(group) -> None:
    group.add_argument("--network", choices=NETWORKS, help=f"({DEFAULT}, or that of --weights)")
    group.add_argument(
        "--weights",
        metavar="START",
        help="start from a run's network, from a Keras weights file, or from imagenet, which is downloaded",
    )
    group.add_argument(
        "--freeze",
        type=below_one,
        metavar="SHARE",
        help="with --weights: only the head learns in this share of the training, at its beginning",
    )
    group.set_defaults(weights_digest=None)
    group.add_argument(
        "--image-size", type=count, metavar="PIXELS", help="the side to which pictures are brought"
    )
    group.add_argument(
        "--flip-average",
        action=argparse.BooleanOptionalAction,
        help="answer by the mean over a picture and its mirror image, in twice the time",
    )
    group.add_argument(
        "--shift-average",
        action=argparse.BooleanOptionalAction,
        help="answer by the mean over a picture and two shifted copies, in three times the time",
    )


def _add_training_flags(group) -> None:
    length = group.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=positive, metavar="N", help="times through the training pictures")
    length.add_argument("--steps", type=count, metavar="N", help="batches")
    length.add_argument("--minutes", type=positive, metavar="N", help="as long as fits into this time")
    group.add_argument("--batch-size", type=count, metavar="N", help="pictures per step")
    group.add_argument(
        "--optimizer",
        choices=recipes.OPTIMIZERS,
        help="muon: for convolutions, the rest by adamw; sgd: plain gradient descent; momentum: 0.9",
    )
    group.add_argument("--schedule", choices=recipes.SCHEDULES, help="how the learning rate goes")
    group.add_argument(
        "--decay-steps",
        type=count,
        metavar="N",
        help="with --schedule exponential: the rate falls tenfold after every N",
    )
    group.add_argument("--learning-rate", type=positive, metavar="RATE", help="the schedule's highest")
    group.add_argument(
        "--weight-decay", type=not_negative, metavar="SHARE", help="of each weight, times the rate, at a step"
    )
    group.add_argument(
        "--label-smoothing", type=below_one, metavar="SHARE", help="of each label, to all classes alike"
    )
    group.add_argument(
        "--dropout", type=below_one, metavar="RATE", help="in place of the network's own rates"
    )
    group.add_argument("--augment", action=argparse.BooleanOptionalAction, help="vary the training pictures")
    group.add_argument(
        "--class-weights",
        choices=("none", "balanced"),
        default="none",
        help="balanced: the fewer pictures a class has, the more each counts (none)",
    )
    group.add_argument("--patience", type=count, metavar="N", help="stop after N validations without gain")


def _add_earlier_flags(group) -> None:
    which = group.add_mutually_exclusive_group()
    which.add_argument(
        "--resume",
        type=Path,
        nargs="?",
        const=NEWEST,
        metavar="RUN",
        help="go on with an interrupted training (the newest)",
    )
    which.add_argument(
        "--repeat", type=Path, metavar="RUN", help="train again just so, and compare bit by bit"
    )
    group.add_argument(
        "--force", action="store_true", help="even though data or flags that decide the outcome have changed"
    )


def _add_study_flags(group) -> None:
    add = group.add_argument
    add("--no-report", action="store_true", help="no report, and no search for shortcuts and wrong labels")
    add("--check-labels", action="store_true", help="search all pictures for wrong labels, not only a part")
    add("--check-unseen", action="store_true", help="measure how often an unknown class would be noticed")
    add("--learning-curve", action="store_true", help="forecast what more pictures would bring")


def _add_output_flags(group) -> None:
    group.add_argument(
        "--precision",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="auto: whichever is faster here, by a short measurement (auto)",
    )
    group.add_argument("--threads", type=count, metavar="N", help="compute threads (one per core)")
    group.add_argument(
        "--workers", type=count, metavar="N", help="train in N processes here, as on N machines (1)"
    )
    group.add_argument(
        "--log-every", type=count, metavar="STEPS", help="also print a line every so many steps"
    )
    group.add_argument(
        "--checkpoint-minutes",
        type=positive,
        default=5,
        metavar="N",
        help="the most that a killed training loses; also after each epoch (5)",
    )
    group.add_argument(
        "--output", type=Path, default=runs.RUNS, metavar="FOLDER", help="where runs are kept (runs)"
    )
    group.add_argument("--name", metavar="NAME", help="the run's folder there (date and time)")


def check_network(options: argparse.Namespace) -> None:
    """Raise UsageError where the flags do not fit the network, or each other."""
    network = NETWORKS[options.network]
    if options.image_size is not None and options.image_size < network.smallest_side:
        raise UsageError(
            f"--image-size {options.image_size}: {network.name} needs pictures of at least "
            f"{network.smallest_side} pixels"
        )
    if options.dropout is not None and not network.dropout:
        raise UsageError(f"--dropout {options.dropout:g}: {network.name} has no dropout layers; leave it out")
    if options.decay_steps is not None and options.schedule != "exponential":
        raise UsageError(f"--decay-steps {options.decay_steps}: belongs to --schedule exponential")


def check_paths(options: argparse.Namespace, writes: bool = True) -> None:
    """Find the mistakes in paths now and not after minutes of work. Raises UsageError.

    `writes`: whether this process writes the run.
    """
    for flag, path in (("--data", options.data), ("--test", options.test)):
        if path is not None and not path.is_dir():
            raise UsageError(f"{flag} {path}: no such folder")
    if options.split is not None and not options.resume and not options.split.is_file():
        raise UsageError(f"--split {options.split}: no such file")
    if options.fixes is not None and not options.fixes.is_file():
        raise UsageError(f"--fixes {options.fixes}: no such file")
    if options.freeze and not options.weights:
        raise UsageError(
            "--freeze belongs to --weights: in a network of random weights there is nothing to keep"
        )
    if not writes:
        return
    if options.name is not None:
        runs.check_name(options.output, options.name)
    if not options.resume:
        runs.check_output(options.output)


def settle_network(options: argparse.Namespace, before: Earlier | None) -> None:
    """Settle network and picture size where they follow from --weights, and note what those weights are.

    Raises UsageError where they cannot be used, or are not those that the earlier run began with.
    """
    source = weights_source.find(options.weights, options.network) if options.weights else None
    if source:
        of_run = source.settings()
        options.weights_digest = source.digest()
        options.network = options.network or of_run.get("options", {}).get("network")
        options.image_size = options.image_size or of_run.get("recipe", {}).get("image_size")
    options.network = options.network or DEFAULT
    if before:
        refuse(before, before.changed_options(vars(options)), options.force)
