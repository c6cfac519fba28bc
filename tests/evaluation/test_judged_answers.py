"""The answers that a run keeps, and the comparison of two runs by them."""

import csv
from pathlib import Path

import numpy as np
import pytest

from pigeonhole.errors import PigeonholeError
from pigeonhole.evaluation import judged_answers
from pigeonhole.evaluation.predictions import Evaluation
from pigeonhole.runs.run import Run

CLASSES = ("cat", "dog")


def keep(folder: Path, answered: dict[str, tuple[str, str]], classes: tuple[str, ...] = CLASSES) -> Run:
    """A run that keeps these answers: digest -> class and answer."""
    run = Run(folder)
    folder.mkdir()
    run.write_labels(classes)
    labels, answers = ([classes.index(pair[side]) for pair in answered.values()] for side in (0, 1))
    logits = np.eye(len(classes), dtype=np.float32)[answers]
    total = len(labels)
    names = [f"heap/\udce9 {digest}.png" for digest in answered]
    judged_answers.write(
        run,
        Evaluation(
            root=Path("heap"),
            classes=classes,
            names=names,
            labels=np.array(labels),
            images=np.zeros((total, 2, 2, 3), np.uint8),
            logits=logits,
            probabilities=logits,
            features=logits,
            unsure=np.zeros(total, bool),
            digests=list(answered),
        ),
    )
    return run


def test_a_row_for_each_picture(tmp_path):
    run = keep(tmp_path / "run", {"a1": ("cat", "dog"), "b2": ("dog", "dog")})
    first, second = run.judged()
    assert first == {
        "path": "heap/\udce9 a1.png",
        "digest": "a1",
        "class": "cat",
        "answer": "dog",
        "probability": "1.0000",
    }
    assert (second["digest"], second["answer"]) == ("b2", "dog")
    with run.judged_file.open(encoding="utf-8", errors="surrogateescape") as file:
        assert len(list(csv.reader(file))) == 3


def test_only_pictures_that_judged_both_runs_are_compared(tmp_path):
    first = keep(tmp_path / "first", {"a": ("cat", "cat"), "b": ("cat", "dog"), "c": ("dog", "dog")})
    second = keep(tmp_path / "second", {"b": ("cat", "cat"), "c": ("dog", "dog"), "d": ("cat", "dog")})
    found = judged_answers.compare(first, second)
    assert (found.both, found.only_first, found.only_second, found.neither) == (1, 0, 1, 0)
    (change,) = found.changed
    assert (change.true, change.first, change.second) == ("cat", "dog", "cat")


def test_a_label_that_was_corrected_since_counts_for_both(tmp_path):
    first = keep(tmp_path / "first", {"a": ("dog", "cat"), "b": ("cat", "cat")})
    second = keep(tmp_path / "second", {"a": ("cat", "cat"), "b": ("cat", "dog")})
    found = judged_answers.compare(first, second)
    assert (found.both, found.only_first) == (1, 1)


def test_what_cannot_be_compared_is_told(tmp_path):
    first = keep(tmp_path / "first", {"a": ("cat", "cat")})
    with pytest.raises(PigeonholeError, match="no picture in common"):
        judged_answers.compare(first, keep(tmp_path / "other", {"b": ("cat", "cat")}))
    with pytest.raises(PigeonholeError, match="only one of the two models knows fox"):
        judged_answers.compare(first, keep(tmp_path / "more", {"a": ("cat", "cat")}, (*CLASSES, "fox")))
    first.judged_file.write_bytes(first.judged_file.read_bytes().replace(b"cat", b"dog"))
    with pytest.raises(PigeonholeError, match=r"judged.csv: damaged"):
        first.judged()
    first.judged_file.unlink()
    with pytest.raises(PigeonholeError, match=r"judged.csv"):
        judged_answers.compare(first, keep(tmp_path / "later", {"a": ("cat", "cat")}))
