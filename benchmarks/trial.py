"""A training from random weights to the test, without validation: for the tables that compare settings."""

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pigeonhole.data import folders  # noqa: E402
from pigeonhole.pictures import images  # noqa: E402


@dataclass(frozen=True)
class Trial:
    """`right` of `total` test pictures after `seconds` of training."""

    right: int
    total: int
    seconds: float

    @property
    def accuracy(self) -> float:
        return self.right / self.total


def parser(description: str) -> argparse.ArgumentParser:
    """For a benchmark that trains on one folder and tests on another, once for each seed."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--data", type=Path, required=True)
    made.add_argument("--test", type=Path, required=True)
    made.add_argument("--seeds", default="0,1,2")
    return made


def read(folder: Path, side: int, channels: int = 3, classes: tuple[str, ...] | None = None):
    """All pictures of a folder of class folders as a `dataset.DataSet`.

    `classes`: their order; None: by name.
    """
    from pigeonhole.data.dataset import DataSet

    tree = folders.scan(folder, classes)
    how = images.Preprocessing(side, channels)
    pixels = np.stack([images.preprocess(entry.path.read_bytes(), how) for entry in tree.entries])
    labels = np.array([tree.classes.index(entry.class_name) for entry in tree.entries])
    return DataSet(pixels, labels, [entry.name for entry in tree.entries], tree.classes)


def draw(data, count: int, seed: int):
    """`count` of the pictures, at random, as many of each class."""
    rng = np.random.default_rng(seed)
    each = count // len(data.class_names)
    rows = [
        rng.choice(np.flatnonzero(data.label_indices == label), each, replace=False)
        for label in range(len(data.class_names))
    ]
    return data.select(np.sort(np.concatenate(rows)))


def run(network: str, train, test, recipe, seed: int, precision: str) -> Trial:
    """Train on all of `train` to the end of the recipe, and test the last weights."""
    from pigeonhole.training.blueprint import Blueprint
    from pigeonhole.training.tally import score

    trainer = Blueprint(network, seed, precision).trainer(recipe, train)
    started = time.perf_counter()
    trainer.learn()
    seconds = time.perf_counter() - started
    right = score(trainer.logits(test), test.label_indices).right
    return Trial(right, test.num_examples, seconds)
