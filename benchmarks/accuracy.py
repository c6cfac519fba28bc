"""Test accuracy and training time of `train.py` over several seeds, as the README's table states them.

    python benchmarks/accuracy.py --data training_data --test testing_data -- --network standard

What follows `--` goes to train.py. Each seed is a run of its own: split, training, saved model, and that
model's answers for every picture of the test folder. The majority class stands beside it as the baseline.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import environment  # noqa: E402
import trial  # noqa: E402

from pigeonhole import quiet  # noqa: E402
from pigeonhole.data import folders  # noqa: E402
from pigeonhole.model.classifier import Classifier  # noqa: E402
from pigeonhole.runs.run import Run  # noqa: E402
from pigeonhole.statistics import accuracy_line, majority_share  # noqa: E402


def main() -> None:
    parser = trial.parser(__doc__)
    parser.add_argument("flags", nargs="*", help="for train.py, after --")
    options = parser.parse_args()
    print("\n".join(environment.lines()))
    print(f"train.py --data {options.data} {' '.join(options.flags)}")
    quiet.import_tensorflow()
    results = []
    with tempfile.TemporaryDirectory() as output:
        for seed in options.seeds.split(","):
            started = time.perf_counter()
            run = train(options, Path(output), seed)
            whole = time.perf_counter() - started
            right, total, baseline = test(run, options.test)
            seconds = training_seconds(run)
            results.append((right / total, seconds, whole))
            print(
                f"seed {seed}: {accuracy_line(right, total)}, trained {seconds:.0f} s, {whole:.0f} s in all",
                flush=True,
            )
    accuracies, times, wholes = zip(*results, strict=True)
    environment.note("test accuracy", accuracies, "share")
    environment.note("whole command", wholes, "s")
    print(
        f"n = {len(results)}: median {statistics.median(accuracies):.1%}, lowest {min(accuracies):.1%}, "
        f"highest {max(accuracies):.1%}; training seconds median {statistics.median(times):.0f}, "
        f"longest {max(times):.0f}; seconds in all median {statistics.median(wholes):.0f}, "
        f"longest {max(wholes):.0f}; majority class {baseline:.1%}"
    )


def train(options: argparse.Namespace, output: Path, seed: str) -> Path:
    command = [sys.executable, ROOT / "train.py", "--data", options.data, "--seed", seed]
    command += ["--output", output, "--name", f"seed{seed}", *options.flags]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return output / f"seed{seed}"


def test(run: Path, folder: Path) -> tuple[int, int, float]:
    """(right, total, the majority class's share) of the saved model's answers for a whole folder."""
    with Classifier.load(run, engine="tensorflow") as classifier:
        entries = folders.scan(folder, classifier.classes).entries
        answers = classifier.predict([entry.path for entry in entries]).argmax(1)
        named = [classifier.classes[answer] for answer in answers]
    truth = [entry.class_name for entry in entries]
    right = sum(a == b for a, b in zip(named, truth, strict=True))
    return right, len(truth), majority_share(truth)[1]


def training_seconds(run: Path) -> float:
    """From the first step's start to the last validation's end, of all networks that were trained."""
    return float(Run(run).result()["seconds"])


if __name__ == "__main__":
    main()
