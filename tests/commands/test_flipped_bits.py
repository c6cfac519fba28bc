"""One flipped bit in any file of a run: a clear line or the right answer, never a traceback, never another
answer in silence.

`FLIPS=200 pytest tests/commands/test_flipped_bits.py` flips that many bits in each kind of file. The index
and the rows of the cache have their own test in tests/data/test_cache.py.
"""

import os
import re
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, astuple, replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from pigeonhole.commands import train
from pigeonhole.data import fixes
from pigeonhole.data.dataset import DataSet
from pigeonhole.errors import PigeonholeError
from pigeonhole.evaluation import leakage
from pigeonhole.features import known as keeping
from pigeonhole.jobs import resuming, setup
from pigeonhole.jobs.evaluating import EvaluationConfig, EvaluationJob
from pigeonhole.model.classifier import Classifier
from pigeonhole.report import page
from pigeonhole.runs import checkpoints, digests, previous, search
from pigeonhole.runs.run import Run
from pigeonhole.web import Model, create_app
from tests.support.drawn_folders import draw_patches
from tests.support.training_program import flags, stopped

pytestmark = pytest.mark.slow

FLIPS = int(os.environ.get("FLIPS", 8))
WEIGHTS = "model.data-00000-of-00001"
CLASSES = ("rot", "grün", "blau")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with pictures, a finished run with a report on a test, and one that was terminated."""
    place = tmp_path_factory.mktemp("flipped")
    data = draw_patches(place / "data", 30, classes=CLASSES)
    draw_patches(place / "test", 3, seed=1, classes=CLASSES)
    finished = [*flags(data, place / "runs", "whole"), "--test", str(place / "test")]
    finished.remove("--no-report")
    assert train.main(finished) == 0
    cut = flags(data, place / "runs", "cut", "--epochs", "200", "--log-every", "1")
    assert stopped(cut, signal.SIGTERM, "step 100/")[0] == 128 + signal.SIGTERM
    suspects = [_Suspect(f"rot/{number:03}.png") for number in range(10)]
    known = {suspect.name: f"{number:064x}" for number, suspect in enumerate(suspects)}
    fixes.write(place / "runs" / "whole" / Run.fixes_file.name, suspects, known)
    pictures = DataSet(np.zeros((3, 8, 8, 3), np.uint8), range(3), CLASSES, CLASSES)
    numbers = np.random.default_rng(0).normal(size=(3, 600)).astype(np.float32)
    keeping.write(Run(place / "runs" / "whole"), pictures, ["00" * 32] * 3, numbers, slice(0, 600))
    return place


class _Suspect:
    given, suggested, confidence_suggested = "rot", "blau", 0.75

    def __init__(self, name: str):
        self.name = name


# --- what reads a run's files, each as a function of the run; its value can be compared ---


def _pictures(run: Run) -> list[Path]:
    return sorted((run.folder.parents[1] / "test").glob("*/*.png"))


def answers(engine: str) -> Callable[[Run], object]:
    def predict(run: Run) -> object:
        with Classifier.load(search.find(str(run.folder)), engine=engine) as classifier:
            given = [
                (answer.probabilities.tolist(), answer.unsure)
                for answer in classifier.answer_each(_pictures(run))
            ]
            return classifier.classes, given

    return predict


def automatic(run: Run) -> object:
    """The answers of whichever engine can give them, to three digits."""
    classes, given = answers("auto")(run)
    return classes, [(np.round(probabilities, 3).tolist(), unsure) for probabilities, unsure in given]


def newest(run: Run) -> object:
    found = search.newest(run.folder.parent)
    return found and found.name


def evaluation(run: Run) -> object:
    config = EvaluationConfig(
        run.folder.parents[1] / "test", str(run.folder), cache_dir=run.folder.parents[1] / "cache"
    )
    with EvaluationJob(config) as job:
        tested = job.test()
        job.write(tested)
    return list(tested.lines())


def page_of(path: str) -> Callable[[Run], object]:
    def read(run: Run) -> object:
        with Classifier.load(run.folder.parents[1] / "model", engine="onnx") as classifier:
            app = create_app([Model(run.name, classifier, run)], runs=run.folder)
            response = app.test_client().get(path.format(run=run.name))
        if response.status_code == 404:
            raise PigeonholeError(re.sub(r"\s+", " ", response.text))
        assert response.status_code == 200, response.text
        return re.sub(r"\s+", " ", unescape(response.text))

    return read


def repetition(run: Run) -> object:
    config, before = resuming.config_of({"repeat": run.folder}, workers=1)
    return config, asdict(before), digests.read(run)


def resumption(run: Run) -> object:
    config, before = resuming.config_of({"resume": run.folder}, workers=1)
    sets = setup.prepare(config, before).sets
    state = checkpoints.newest(run)
    return config, asdict(before), sets.sides, _comparable(state)


def _comparable(state) -> object:
    def plain(value: object) -> object:
        if isinstance(value, np.ndarray):
            return value.dtype.str, value.shape, value.tobytes()
        if isinstance(value, list | tuple):
            return [plain(each) for each in value]
        return value

    return plain(astuple(state))


def earlier_split(run: Run) -> object:
    config, _ = resuming.config_of({"repeat": run.folder}, workers=1)
    return setup.prepare(replace(config, repeat=None, split=run.split_file)).sets.sides


def values(reader: Callable[[Run], dict]) -> Callable[[Run], object]:
    """What the reader gives, without an unknown key: a flip in "sha256" makes one, and all else is right."""
    return lambda run: {
        name: value for name, value in reader(run).items() if not re.fullmatch("[0-9a-f]{64}", str(value))
    }


def copies(run: Run) -> object:
    known = leakage.read(run)
    return known and _comparable(known)


def nearest(run: Run) -> object:
    kept = keeping.read(run)
    return kept and kept.nearest(np.ones((1, 600)), 3)


def decisions(run: Run) -> object:
    return fixes.read(run.fixes_file, CLASSES)


WATCH, ABOUT, REPORT, START = "/watch", "/models/{run}", "/models/{run}/report", "/"
FINISHED: dict[str, tuple[Callable[[Run], object], ...]] = {
    "model.meta": (answers("tensorflow"), automatic),
    "model.index": (answers("tensorflow"), automatic),
    WEIGHTS: (answers("tensorflow"), automatic),
    "model.onnx": (answers("onnx"), automatic),
    "checkpoint": (answers("tensorflow"), newest),
    "labels.txt": (Run.labels, automatic),
    "sha256.txt": (answers("tensorflow"), answers("onnx"), Run.labels, Run.history, Run.split),
    "settings.json": (repetition, page_of(WATCH), page_of(ABOUT)),
    "history.csv": (Run.history, page_of(WATCH)),
    "split.csv": (Run.split, earlier_split, page_of(ABOUT)),
    "result.json": (values(Run.result), digests.read, page_of(ABOUT)),
    "fixes.csv": (decisions,),
    "judged.csv": (Run.judged,),
    "fingerprints.npz": (copies, evaluation),
    "known_pictures.npz": (nearest,),
    "progress.json": (values(Run.progress), page_of(WATCH)),
    "report.json": (page.read, evaluation),
    "report.html": (page_of(REPORT), page_of(START)),
}
INTERRUPTED: dict[str, tuple[Callable[[Run], object], ...]] = {
    "settings.json": (previous.read, resumption, page_of(WATCH)),
    "split.csv": (Run.split, resumption),
    "progress.json": (page_of(WATCH),),
    "history.csv": (resumption,),
    "checkpoints/step": (resumption, answers("tensorflow")),
}


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def verdicts(place: Path, tmp_path: Path, name: str, kind: str, readers) -> Counter:
    """How many readings gave a right answer and how many a clear line. Fails for anything else."""
    original = place / "runs" / name
    home = tmp_path / "home"
    run = Run(home / "runs" / name)

    def fresh() -> Run:
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(original, run.folder)
        (home / "test").symlink_to(place / "test")
        (home / "model").symlink_to(place / "runs" / "whole")

    def read(reader: Callable[[Run], object]) -> object:
        try:
            return repr(reader(run))
        except PigeonholeError as error:
            assert "\n" not in str(error) and len(str(error)) > 10
            return error

    whole = original / kind if (original / kind).is_file() else max(original.glob(f"{kind}*"))
    harmed = run.folder / whole.relative_to(original)
    data = whole.read_bytes()
    right = {}
    fresh()
    for reader in readers:
        value = read(reader)
        assert not isinstance(value, Exception), (reader, value)
        right[reader] = {value}
        if reader.__qualname__.startswith("page_of"):  # it may say as little as if the file said nothing
            harmed.write_text("{}")
            right[reader].add(read(reader))
        if reader is resumption and kind.startswith("checkpoints"):  # or go on from the one before
            harmed.unlink()
            right[reader].add(read(reader))
        if reader is newest:  # it says on standard error that it passed over the run
            right[reader].add(repr(None))
        fresh()
    random = np.random.default_rng(list(kind.encode()))
    counted = Counter()
    for bit in random.integers(0, 8 * len(data), FLIPS):
        for reader in readers:
            harmed.write_bytes(flipped(data, int(bit)))
            value = read(reader)
            is_right = not isinstance(value, Exception)
            if is_right and value not in right[reader]:
                print(kind, reader, bit, value[:3000], right[reader] if FLIPS < 3 else "")
                counted["WRONG " + reader.__qualname__] += 1
            counted["right answer" if is_right else "clear line"] += 1
            if reader is evaluation:
                fresh()
    assert not [key for key in counted if key.startswith("WRONG")], counted
    return counted


@pytest.mark.parametrize("kind", FINISHED)
def test_a_finished_run(place, tmp_path, kind):
    print(f"\n{kind}: {dict(verdicts(place, tmp_path, 'whole', kind, FINISHED[kind]))}")


@pytest.mark.parametrize("kind", INTERRUPTED)
def test_an_interrupted_run(place, tmp_path, kind):
    print(f"\ncut {kind}: {dict(verdicts(place, tmp_path, 'cut', kind, INTERRUPTED[kind]))}")
