"""The answers by which a run was judged, kept in it: by them it can be compared with a later run.

Each was given without having learnt from the picture: by validation, or out of fold.
"""

from pigeonhole import atomic_file
from pigeonhole.data import tables
from pigeonhole.errors import PigeonholeError
from pigeonhole.evaluation import comparison
from pigeonhole.evaluation.comparison import Change, Comparison
from pigeonhole.evaluation.predictions import Evaluation
from pigeonhole.runs import seals
from pigeonhole.runs.run import Run

COLUMNS = ("path", "digest", "class", "answer", "probability")


def write(run: Run, answers: Evaluation) -> None:
    """Keep these answers in the run. Raises OSError."""
    classes = answers.classes
    rows = zip(
        answers.names, answers.digests, answers.labels, answers.predicted, answers.confidence, strict=True
    )
    seals.forget(run.judged_file)
    with atomic_file.write(run.judged_file, errors="surrogateescape") as file:
        add = tables.adder(file)
        add(COLUMNS)
        for name, digest, label, answer, probability in rows:
            add([name, digest, classes[label], classes[answer], f"{probability:.4f}"])
    seals.note(run.judged_file)


def compare(first: Run, second: Run) -> Comparison:
    """Compare two runs on the pictures that both were judged by, told by their content.

    What a picture shows is taken from the second run: its labels may have been corrected since the first. A
    picture that is there more than once counts once. Raises PigeonholeError where the classes differ, no
    picture is in both, or a run keeps no answers.
    """
    comparison.require_same_classes(first.labels(), second.labels())
    before = {row["digest"]: row["answer"] for row in first.judged()}
    now = {row["digest"]: row for row in second.judged()}
    pairs = [
        Change(row["path"], row["class"], before[digest], row["answer"])
        for digest, row in now.items()
        if digest in before
    ]
    if not pairs:
        raise PigeonholeError(f"{first} and {second} were judged by no picture in common")
    return comparison.of_pairs(pairs)
