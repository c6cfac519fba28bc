"""Whether the honest figures are honest: planted faults must be found, and intervals must hold the truth.

    python benchmarks/honesty.py --data training_data --test testing_data

takes CIFAR-10 as class folders and runs train.py and evaluate.py on small problems cut from it:

intervals   20 random problems (2 to 10 classes, 100 to 2,000 pictures): does the 95 % interval that training
            prints hold the accuracy on all test pictures of these classes?
labels      5,000 pictures, 5 % of their labels flipped: which does --check-labels find?
border      500 pictures of each class, one with a white border: does the shortcut check say so, and is it
            silent without the border?
copies      50 training pictures put among the test pictures, 25 of them re-encoded and resized
unseen      a class left out of training: is it caught at the rate that --check-unseen printed?
curve       the forecast made from 2,000 pictures for 4,000

Every figure stands beside the bar that it is held against. All six take about 50 minutes on two cores.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import cv2
import environment
import numpy as np

from pigeonhole.runs.run import Run

ROOT = Path(__file__).resolve().parents[1]

Problem = Mapping[str, Iterable[Path]]  # class name -> pictures


class Laboratory:
    """Pictures by class, and a scratch folder in which problems are laid out and trained on."""

    def __init__(self, data: Path, test: Path, scratch: Path, seed: int):
        self.data, self.test, self.scratch = data, test, scratch
        self.rng = np.random.default_rng(seed)
        self.classes = sorted(folder.name for folder in data.iterdir() if folder.is_dir())
        self._runs = 0

    def draw(self, class_name: str, count: int) -> list[Path]:
        """`count` random training pictures of a class."""
        paths = sorted((self.data / class_name).iterdir())
        return [paths[index] for index in self.rng.choice(len(paths), count, replace=False)]

    def lay_out(self, problem: Problem) -> Path:
        """A folder of class folders with links to the pictures."""
        folder = Path(tempfile.mkdtemp(dir=self.scratch))
        for class_name, paths in problem.items():
            (folder / class_name).mkdir()
            for path in paths:
                (folder / class_name / path.name).symlink_to(path.resolve())
        return folder

    def train(self, folder: Path, *flags: object) -> Path:
        self._runs += 1
        name = f"run{self._runs}"
        self._program("train.py", "--data", folder, "--output", self.scratch, "--name", name, *flags)
        return self.scratch / name

    def evaluate(self, run: Path, folder: Path) -> dict:
        return json.loads(
            self._program("evaluate.py", "--model", run, "--data", folder, "--json", "--no-report")
        )

    def _program(self, name: str, *flags: object) -> str:
        command = [sys.executable, ROOT / name, *map(str, flags), "--cache-dir", self.scratch / "cache"]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout


def result(run: Path) -> dict:
    """What the training found."""
    return Run(run).result()


def intervals(laboratory: Laboratory, problems: int = 20) -> None:
    held = 0
    for number in range(1, problems + 1):
        classes = laboratory.rng.choice(laboratory.classes, laboratory.rng.integers(2, 11), replace=False)
        total = round(np.exp(laboratory.rng.uniform(np.log(100), np.log(2000))))
        each = max(2, total // len(classes))
        run = laboratory.train(laboratory.lay_out({name: laboratory.draw(name, each) for name in classes}))
        low, high = result(run)["interval_95"]
        test = laboratory.lay_out({name: (laboratory.test / name).iterdir() for name in classes})
        true = laboratory.evaluate(run, test)["accuracy"]
        held += low <= true <= high
        print(
            f"  {number:2}: {len(classes):2} classes, {each * len(classes):5,} pictures: "
            f"{low:.1%} to {high:.1%}, true {true:.1%}{'' if low <= true <= high else '  MISSED'}",
            flush=True,
        )
    environment.note("intervals that hold the truth", held / problems, "share")
    print(f"intervals: {held} of {problems} hold the truth (bar: 18 of 20)")


def labels(laboratory: Laboratory, share: float = 0.05) -> None:
    problem: dict[str, list[Path]] = {name: [] for name in laboratory.classes}
    flipped = set()
    for label, name in enumerate(laboratory.classes):
        for path in laboratory.draw(name, 500):
            shown = name
            if laboratory.rng.random() < share:
                others = [*laboratory.classes[:label], *laboratory.classes[label + 1 :]]
                shown = str(laboratory.rng.choice(others))
                flipped.add(f"{shown}/{path.name}")
            problem[shown].append(path)
    run = laboratory.train(laboratory.lay_out(problem), "--check-labels")
    with Run(run).fixes_file.open(newline="", encoding="utf-8-sig") as file:
        listed = [row["file"] for row in csv.DictReader(file)]
    found = len(flipped & set(listed))
    environment.note("recall of flipped labels", found / len(flipped), "share")
    print(
        f"labels: {found} of {len(flipped)} flipped labels among {len(listed)} listed: recall "
        f"{found / len(flipped):.2f} (bar: 0.6) at precision {found / max(len(listed), 1):.2f} (bar: 0.4)"
    )


def border(laboratory: Laboratory) -> None:
    clean = laboratory.lay_out({name: laboratory.draw(name, 500) for name in laboratory.classes})
    framed = laboratory.lay_out({path.name: path.iterdir() for path in clean.iterdir()})
    for path in list((framed / laboratory.classes[0]).iterdir()):
        image = cv2.imread(str(path))
        path.unlink()
        cv2.imwrite(str(path), cv2.copyMakeBorder(image[2:-2, 2:-2], 2, 2, 2, 2, 0, value=(255, 255, 255)))
    for title, folder in (("clean", clean), ("white border on one class", framed)):
        check = result(laboratory.train(folder, "--steps", 1))["shortcuts"]
        print(f"border: {title}: fires {check['fires']}; {' '.join(check['lines'])}")


def copies(laboratory: Laboratory) -> None:
    chosen = {name: laboratory.draw(name, 55) for name in laboratory.classes}
    run = laboratory.train(
        laboratory.lay_out({name: paths[:50] for name, paths in chosen.items()}), "--steps", 1
    )
    test = laboratory.lay_out({name: sorted((laboratory.test / name).iterdir())[:100] for name in chosen})
    planted = set()
    for class_name, paths in chosen.items():
        for number, path in enumerate(paths[:5]):
            copy = test / class_name / f"copy {number}.png"
            if len(planted) % 2:
                copy = copy.with_suffix(".jpg")
                side = int(laboratory.rng.integers(28, 49))
                altered = cv2.resize(cv2.imread(str(path)), (side, side))
                cv2.imwrite(str(copy), altered, [cv2.IMWRITE_JPEG_QUALITY, 85])
            else:
                copy.write_bytes(path.read_bytes())
            planted.add(f"{class_name}/{copy.name}")
    named = {copy["name"] for copy in laboratory.evaluate(run, test)["copies"]}
    environment.note("copies named", len(planted & named) / len(planted), "share")
    altered = sum(name.endswith(".jpg") for name in planted & named)
    print(
        f"copies: {len(planted & named)} of {len(planted)} named, {altered} of these re-encoded and resized; "
        f"{len(named - planted)} others named"
    )


def unseen(laboratory: Laboratory) -> None:
    for class_name in laboratory.rng.choice(laboratory.classes, 2, replace=False):
        known = [name for name in laboratory.classes if name != class_name]
        folder = laboratory.lay_out({name: laboratory.draw(name, 500) for name in known})
        run = laboratory.train(folder, "--check-unseen")
        found = result(run)["unseen"]
        low, high = found["low"], found["high"]
        caught = caught_share(run, laboratory.test / class_name)
        print(
            f"unseen: {class_name} left out: printed {low:.1%} to {high:.1%}, "
            f"caught {caught:.1%}: {'holds' if low <= caught <= high else 'MISSED'}"
        )


def caught_share(run: Path, folder: Path) -> float:
    """The share of a folder's pictures that predict.py is unsure of."""
    command = [sys.executable, ROOT / "predict.py", folder, "--model", run, "--json"]
    answers = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return sum(answer["unsure"] for answer in answers) / len(answers)


def curve(laboratory: Laboratory) -> None:
    pictures = {name: laboratory.draw(name, 500) for name in laboratory.classes}
    # A fifth validates, so 2,500 and 5,000 pictures train on about 2,000 and 4,000.
    small = laboratory.lay_out({name: paths[:250] for name, paths in pictures.items()})
    run = laboratory.train(small, "--learning-curve")
    forecast = result(run)["learning_curve"]["forecast"]
    doubled = min(forecast, key=lambda point: abs(point["pictures"] - 4000))
    larger = laboratory.train(laboratory.lay_out(pictures))
    true = laboratory.evaluate(larger, laboratory.test)["accuracy"]
    low, high = doubled["interval_95"]
    print(
        f"curve: forecast for {doubled['pictures']:,} pictures {low:.1%} to {high:.1%}, "
        f"true {true:.1%}: {'holds' if low <= true <= high else 'MISSED'}"
    )


STUDIES: dict[str, Callable[[Laboratory], None]] = {
    study.__name__: study for study in (intervals, labels, border, copies, unseen, curve)
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--only", choices=STUDIES, action="append", help="one of them; repeatable")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print("\n".join(environment.lines(f"seed {options.seed}")))
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.only or STUDIES:
            own = Path(scratch, name)
            own.mkdir()
            STUDIES[name](Laboratory(options.data, options.test, own, options.seed))


if __name__ == "__main__":
    main()
