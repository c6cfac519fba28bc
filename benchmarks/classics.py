"""Every network by name on the same pictures: what was published of it, and what it reaches here.

    python benchmarks/classics.py --minutes 5 --networks classic_lrn,standard
    python benchmarks/classics.py --mnist-data mnist/training_data --mnist-test mnist/testing_data

Trains each network by its recipe, for the published length or as long as fits into `--minutes`, in float32,
with a tenth of the training pictures set apart to choose the best validation. Prints one table, of the test
accuracy of the network so chosen with its 95 % interval, and draws the test accuracy against the seconds of
training (those of testing taken off). One training each, n = 1: a difference within the intervals is none.

`keras_example` and `pytorch` (needs torch) are trainings as others write them, on the same pictures, each in
a process of its own. Every outcome is kept in `--results`, and what is there is not trained again: the table
can grow over several evenings.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import environment  # noqa: E402
import numpy as np  # noqa: E402
import trial  # noqa: E402

from pigeonhole import quiet  # noqa: E402
from pigeonhole.networks import registry  # noqa: E402
from pigeonhole.statistics import wilson_interval  # noqa: E402

VALIDATION = 0.1
ENVIRONMENT = dict(os.environ)  # of the rivals: later on TensorFlow is told more


@dataclass(frozen=True)
class Candidate:
    """A network or a variant of one, and what was published of it: length, and accuracy on what.

    `changes`: of the recipe; `fraction`: of the training pictures; `rival`: one of `rivals.KINDS`.
    """

    name: str
    network: str
    length: str
    figure: str
    changes: dict[str, object] = field(default_factory=dict)
    fraction: float = 1.0
    rival: bool = False


MNIST = Candidate("classic_mnist", "classic_mnist", "500 steps", "97.2 %, 500 test pictures")
CANDIDATES = (
    Candidate("classic_tiny", "classic_tiny", "none", "none"),
    Candidate("classic_tiny, dropout 0.5 (variant)", "classic_tiny", "none", "none", {"dropout": 0.5}),
    Candidate("classic_dropout", "classic_dropout", "50 epochs, a couple of hours", "67.3 %, test"),
    Candidate(
        "classic_dropout, a fifth of the pictures",
        "classic_dropout",
        "50 epochs of batch 1",
        "57.8 % (best 59.3 %), validation",
        fraction=0.2,
    ),
    Candidate("classic_augmented", "classic_augmented", "100,000 steps, 12 hours", "about 80 %, test"),
    Candidate("classic_lrn", "classic_lrn", "20,000 steps", "80.5 %, one distorted batch of 128"),
    Candidate(
        "classic_lrn, decay as intended (variant)",
        "classic_lrn",
        "never run",
        "none",
        {"schedule": "exponential", "steps": 1500},  # then the rate is a millionth of the first
    ),
    Candidate("tutorial", "tutorial", "none on these pictures", "none"),
    Candidate("standard", "standard", "ours", "none"),
    Candidate("deep", "deep", "ours", "none"),
    Candidate(
        "Keras' example cifar10_cnn.py",
        "keras_example",
        "50 epochs",
        "79 % after 50 epochs, 75 % after 25",
        rival=True,
    ),
    Candidate("standard's layers in PyTorch's usual loop", "pytorch", "30 epochs, ours", "none", rival=True),
    MNIST,
)
NETWORKS = list(dict.fromkeys(each.network for each in CANDIDATES))


@dataclass(frozen=True)
class Outcome:
    """What a training came to. `curve`: (seconds of training so far, test accuracy)."""

    parameters: int
    length: str
    right: int
    total: int
    seconds: float
    curve: list[tuple[float, float]]


def main() -> None:
    options = _parser().parse_args()
    candidates = [each for each in CANDIDATES if each.network in options.networks]
    quiet.import_tensorflow()
    about = origin(options)
    outcomes = read_results(options.results, about)
    if not importlib.util.find_spec("torch") and any(each.network == "pytorch" for each in candidates):
        print("without pytorch, which needs torch: pip install torch", file=sys.stderr)
        candidates = [each for each in candidates if each.network != "pytorch" or each.name in outcomes]
    ahead = [each for each in candidates if each.name not in outcomes]
    for candidate in ahead:
        for folder in _folders(candidate, options):
            if not folder.is_dir():
                sys.exit(f"{folder}: no such folder; without it leave {candidate.network} out of --networks")
    print("\n".join(about))
    for candidate in ahead:
        outcomes[candidate.name] = (compete if candidate.rival else train)(candidate, options)
        write_results(outcomes, about, options.results)
        print(_row(candidate, outcomes[candidate.name]), file=sys.stderr, flush=True)
    done = [(candidate, outcomes[candidate.name]) for candidate in candidates]
    print("\n".join(table(done)))
    for candidate, outcome in done:
        environment.note(candidate.name, outcome.right / outcome.total, "share")
    draw(done, options.plot)
    print(f"plot: {options.plot}")


def origin(options: argparse.Namespace) -> list[str]:
    """Lines that say what the figures come from; those of one table have all the same."""
    return [
        *environment.lines("float32"),
        f"pictures: {options.data}, {options.test}; {options.mnist_data}, {options.mnist_test}",
        f"seed {options.seed}, n = 1; {VALIDATION:.0%} of the pictures validate",
    ]


def read_results(file: Path, about: list[str]) -> dict[str, Outcome]:
    """The outcomes so far, by the candidates' names. Leaves where they have another origin."""
    if not file.exists():
        return {}
    try:
        kept = json.loads(file.read_text("utf-8"))
        outcomes = {name: Outcome(**fields) for name, fields in kept["outcomes"].items()}
        other = sorted(set(kept["about"]) - set(about))
    except (ValueError, TypeError, KeyError, AttributeError):
        sys.exit(f"{file}: holds no results that this program wrote; name another file with --results")
    if other:
        sys.exit(f"{file}: has outcomes of another origin ({other[0]}); name another file with --results")
    return outcomes


def write_results(outcomes: dict[str, Outcome], about: list[str], file: Path) -> None:
    kept = {"about": about, "outcomes": {name: asdict(outcome) for name, outcome in outcomes.items()}}
    file.write_text(json.dumps(kept, indent=1), encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, default=Path("training_data"), help="CIFAR-10's class folders (training_data)")
    add("--test", type=Path, default=Path("testing_data"), help="and those of its test (testing_data)")
    add("--mnist-data", type=Path, default=Path("mnist/training_data"), help="(mnist/training_data)")
    add("--mnist-test", type=Path, default=Path("mnist/testing_data"), help="(mnist/testing_data)")
    add("--minutes", type=float, help="at most so long each, instead of the recipe's length")
    add("--networks", type=_names, default=NETWORKS, metavar="A,B", help="only these")
    add("--seed", type=int, default=0)
    add("--results", type=Path, default=Path("classics.json"), metavar="FILE", help="(classics.json)")
    add("--plot", type=Path, default=Path("classics.png"), metavar="FILE", help="(classics.png)")
    return parser


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(NETWORKS):
        raise argparse.ArgumentTypeError(f"no network {', '.join(unknown)}; there are {', '.join(NETWORKS)}")
    return names


def _folders(candidate: Candidate, options: argparse.Namespace) -> tuple[Path, Path]:
    return (options.mnist_data, options.mnist_test) if candidate is MNIST else (options.data, options.test)


def train(candidate: Candidate, options: argparse.Namespace) -> Outcome:
    """Train the candidate and try what it has learnt, now and then and at the end, on the test pictures."""
    from pigeonhole.training.blueprint import Blueprint
    from pigeonhole.training.tally import score

    network = registry.NETWORKS[candidate.network]
    side, channels = network.usual_size(32), network.channels
    sets, test = read(candidate, options, side, channels)
    recipe = network.recipe(side, sets.train.num_examples, all_grey=channels == 1)
    recipe = recipe.with_given(**candidate.changes)
    trainer = Blueprint(network.name, options.seed).trainer(recipe, sets.train, sets.valid)
    planned = trainer.total_steps
    if options.minutes:
        trainer.fit_to(options.minutes * 60)
        trainer.total_steps = min(trainer.total_steps, planned)
    curve, seconds = follow(trainer, test)
    trainer.model.set_weights(trainer.best_weights)
    right = score(trainer.logits(test), test.label_indices).right
    length = f"{trainer.steps_done:,} of {planned:,} steps"
    return Outcome(trainer.model.count_params(), length, right, test.num_examples, seconds, curve)


def compete(candidate: Candidate, options: argparse.Namespace) -> Outcome:
    """Have the rival train on the same pictures, in a process of its own, with TensorFlow's defaults."""
    sets, test = read(candidate, options, 32, 3)
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder, "pictures.npz")
        np.savez(
            pictures,
            train_images=np.asarray(sets.train.images),
            train_labels=sets.train.label_indices,
            test_images=test.images,
            test_labels=test.label_indices,
        )
        command = [sys.executable, ROOT / "benchmarks" / "rivals.py", candidate.network, pictures]
        most_seconds = str(60 * options.minutes) if options.minutes else "inf"
        done = subprocess.run(
            [*command, most_seconds], check=True, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
        )
    told = json.loads(done.stdout.splitlines()[-1])
    length = f"{told['steps']:,} of {told['planned']:,} steps"
    return Outcome(
        told["parameters"], length, told["right"], test.num_examples, told["seconds"], told["curve"]
    )


def read(candidate: Candidate, options: argparse.Namespace, side: int, channels: int):
    """The candidate's `dataset.DataSets` and its test pictures."""
    from pigeonhole.data import dataset

    train_folder, test_folder = _folders(candidate, options)
    sets = dataset.read_train_sets(
        train_folder, side, None, VALIDATION, options.seed, channels=channels, fraction=candidate.fraction
    )
    return sets, trial.read(test_folder, side, channels, sets.classes)


def follow(trainer, test) -> tuple[list[tuple[float, float]], float]:
    """Train to the end: the test accuracy after 1, 2, 4, 8, ... steps and at the end, and the seconds."""
    from pigeonhole.training.tally import score

    curve, testing = [], 0.0
    started = time.perf_counter()

    def on_step(progress) -> None:
        nonlocal testing
        if progress.step & (progress.step - 1) and progress.step < trainer.total_steps:
            return
        before = time.perf_counter()
        right = score(trainer.logits(test), test.label_indices).right
        curve.append((before - started - testing, right / test.num_examples))
        testing += time.perf_counter() - before

    for _ in trainer.run(on_step):
        pass
    return curve, time.perf_counter() - started - testing


def table(outcomes: list[tuple[Candidate, Outcome]]) -> list[str]:
    """The README's table, in Markdown."""
    heading = "| network | parameters | published length | published | length run | test accuracy | seconds |"
    return [heading, "|---|---|---|---|---|---|---|", *(_row(*each) for each in outcomes)]


def _row(candidate: Candidate, outcome: Outcome) -> str:
    low, high = wilson_interval(outcome.right, outcome.total)
    accuracy = f"{outcome.right / outcome.total:.1%} ({100 * low:.1f} to {100 * high:.1f})"
    cells = [candidate.name, f"{outcome.parameters:,}", candidate.length, candidate.figure, outcome.length]
    return f"| {' | '.join([*cells, accuracy.replace('%', ' %'), f'{outcome.seconds:,.0f}'])} |"


def draw(outcomes: list[tuple[Candidate, Outcome]], file: Path) -> None:
    """Test accuracy against training seconds, one line for each candidate."""
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.subplots()
    axes.set_prop_cycle(color=matplotlib.colormaps["tab20"].colors)
    for candidate, outcome in outcomes:
        seconds, accuracy = np.transpose(outcome.curve)
        axes.plot(seconds, 100 * accuracy, marker="o", markersize=3, label=candidate.name)
    axes.set(xscale="log", xlabel="seconds of training", ylabel="test accuracy, %")
    axes.set_xlim(left=1)
    axes.set_title("Each network by its recipe; classic_mnist on MNIST, all others on CIFAR-10", fontsize=10)
    axes.grid(alpha=0.3)
    figure.legend(fontsize=8, loc="outside right upper")
    figure.savefig(file, dpi=150)


if __name__ == "__main__":
    main()
