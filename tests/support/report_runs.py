"""A small finished run with everything that a report is made from: real pictures, a saved random network."""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

from pigeonhole.data.dataset import DataSets, read_train_sets
from pigeonhole.evaluation import measures, predictions
from pigeonhole.evaluation.measures import Measures
from pigeonhole.evaluation.predictions import Evaluation
from pigeonhole.features import known
from pigeonhole.model import metagraph
from pigeonhole.model.classifier import Classifier
from pigeonhole.networks import building
from pigeonhole.runs.run import Run
from tests.support.saved_runs import write_picture

SIZE = 16
# Where the file system allows it, a class and a file are named so as to break out of the page.
HOSTILE = '<img src=x onerror="alert(1)">' if os.name == "posix" else "hostile"
CLASSES = (HOSTILE, "cat", "été 北")
PICTURES = 12  # of each class
HISTORY = """epoch,step,learning_rate,train_loss,train_accuracy,valid_loss,valid_accuracy,seconds,\
pictures_per_second
1,10,0.002,1.2,0.4,1.1,0.5,4.2,300
2,20,0.005,0.9,0.6,0.8,0.75,8.4,310
3,30,0.0001,0.5,0.8,0.7,0.75,231,320
"""


@dataclass(frozen=True)
class Case:
    """A run, what it was trained on, and its answers to all of its own pictures."""

    run: Run
    sets: DataSets
    classifier: Classifier
    evaluation: Evaluation
    measures: Measures


def make(folder: Path) -> Case:
    """A run below `folder`; the caller closes its classifier."""
    pictures = folder / "pictures"
    for label, name in enumerate(CLASSES):
        for number in range(PICTURES):
            write_picture(pictures / name / f"{name}_{number}.png", seed=PICTURES * label + number)
    (pictures / "cat" / "broken.png").write_bytes(b"no picture")
    sets = read_train_sets(pictures, SIZE, validation_size=0.3, no_cache=True)
    run = folder / "run"
    run.mkdir()
    write_facts(run, sets.classes)
    model = building.build("standard", SIZE, 3, len(CLASSES))
    metagraph.save(model, sets.classes, run, metagraph.Fitted(30, temperature=2.0))
    classifier = Classifier.load(run)
    answers = ask(classifier, sets)
    return Case(Run(run), sets, classifier, answers, measures.measure(answers, 0.4))


def ask(classifier: Classifier, sets: DataSets) -> Evaluation:
    every = sets.everything
    digests = [f"{number:064x}" for number in range(every.num_examples)]
    root, names = sets.preflight.root, list(every.names)
    answers = predictions.answer(classifier, root, names, every.label_indices, every.images, digests)
    return replace(answers, skipped=sets.preflight.skipped)


def keep_pictures(case: Case) -> None:
    """Have the run keep all pictures that it was trained on."""
    answers = case.evaluation
    width = answers.features.shape[1]
    known.write(case.run, case.sets.everything, answers.digests, answers.features, slice(0, width))


def write_facts(run: Path, classes: list[str]) -> None:
    settings = {
        "options": {"data": "my_pictures", "network": "standard", "seed": 3, "cache_dir": None},
        "classes": classes,
        "recipe": {
            "image_size": SIZE,
            "batch_size": 50,
            "learning_rate": 0.005,
            "mix": False,
            "augmentation": {"flip": True, "shift": 0.125},
        },
        "total_steps": 30,
        "data_fingerprint": "beeda46c",
        "machine": {"threads": 2},
        "versions": {"tensorflow": "2.21.0"},
    }
    (run / "settings.json").write_text(json.dumps(settings), "utf-8")
    (run / "history.csv").write_text(HISTORY, "utf-8")
