"""What a killed training goes on from: its state after some step, on disk, complete or not at all.

The run's folder of them holds the last two, one file each, named by their step and not by any clock. A file
takes its place only when all of it has reached the disk; a damaged one gives itself away by its checksums.
That of the last step stays with a finished run, so that its training can be lengthened.
"""

import io
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

import numpy as np

from pigeonhole import atomic_file
from pigeonhole.errors import PigeonholeError
from pigeonhole.runs import archives
from pigeonhole.runs.records import Score, State, Validation
from pigeonhole.runs.run import MODEL, Run
from pigeonhole.terminal import say

KEPT = 2
COLUMNS = ("epoch", "step", "learning_rate", "seconds", "pictures_per_second", "is_kept", "workers")
SCORES = ("train", "valid")
FORMER = {"validations": "checkups", "is_kept": "is_best"}  # words of runs that were begun before these
DAMAGE = (OSError, ValueError, KeyError, TypeError, OverflowError)


def write(run: Run, state: State) -> None:
    """Add a checkpoint to the run, and remove those that are older than the last two."""
    folder = run.checkpoints_folder
    folder.mkdir(exist_ok=True)
    with atomic_file.write_binary(folder / f"step-{state.step:010}.npz") as file:
        np.savez(file, **_arrays(state))
    for older in _files(run)[KEPT:]:
        if older != run.last_state_file:
            older.unlink(missing_ok=True)


def remove(run: Run) -> None:
    """Remove all checkpoints of the run: the training begins again."""
    folder = run.checkpoints_folder
    Run(folder).checkpoint_file.unlink(missing_ok=True)  # first, since it names some of the others
    for file in [*folder.glob("step-*.npz"), *folder.glob(f"{MODEL}-*")]:
        file.unlink()


def keep_last(run: Run) -> None:
    """Keep the newest checkpoint as the last state of a training that is complete."""
    for newest_file in (file for file in _files(run)[:1] if file != run.last_state_file):
        with newest_file.open("rb") as source, atomic_file.write_binary(run.last_state_file) as file:
            shutil.copyfileobj(source, file)


def set_aside(run: Run, candidate: str) -> None:
    """Keep the run's newest checkpoint as that of a candidate whose training has ended; remove the others."""
    run.candidates_folder.mkdir(exist_ok=True)
    newest_file, *others = _files(run)
    newest_file.replace(_candidate_file(run, candidate))
    for file in others:
        file.unlink()


def forget_all(run: Run) -> None:
    """Remove all checkpoints, those of candidates too: the pictures have changed."""
    remove(run)
    for file in run.candidates_folder.glob("*.npz"):
        file.unlink()


def ended(run: Run, candidate: str) -> State | None:
    """What `set_aside` has kept of the candidate; None where its training has not ended, or it is damaged."""
    file = _candidate_file(run, candidate)
    if not file.is_file():
        return None
    try:
        return _state(archives.read(file))
    except DAMAGE as error:
        say(f"{file}: damaged ({error}); this candidate is trained again", to=sys.stderr)
        return None


def newest(run: Run) -> State | None:
    """The run's last state that can be read, perhaps that with which it was finished; None without any.

    Says on standard error which files are damaged. Raises PigeonholeError when all of them are.
    """
    files = _files(run)
    for file in files:
        try:
            return _state(archives.read(file))
        except DAMAGE as error:
            say(f"{file}: damaged ({error}); trying the checkpoint before it", to=sys.stderr)
    if files:
        raise PigeonholeError(f"{run.checkpoints_folder}: no checkpoint that can be read; train again")
    return None


def packed(state: State) -> bytes:
    """The state as the content of a checkpoint, for another process."""
    content = io.BytesIO()
    np.savez(content, **_arrays(state))
    return content.getvalue()


def unpacked(content: bytes) -> State:
    """What `packed` was given."""
    with np.load(io.BytesIO(content)) as arrays:
        return _state(arrays)


def last_step(run: Run) -> int:
    """The step after which the run's training was complete. Raises PigeonholeError for a damaged file."""
    try:
        return int(archives.read(run.last_state_file)["step"])
    except DAMAGE as error:
        raise PigeonholeError(
            f"{run.last_state_file}: damaged ({error}), so the training cannot be lengthened; delete it"
        ) from error


class Writer(AbstractContextManager):
    """Writes a training's checkpoints while it goes on, at least every `minutes`."""

    def __init__(self, run: Run, minutes: float):
        self._run = run
        self._seconds = minutes * 60
        self._written = time.monotonic()
        self._thread = ThreadPoolExecutor(1)
        self._writing: Future | None = None

    @property
    def is_due(self) -> bool:
        return time.monotonic() - self._written >= self._seconds

    @property
    def is_busy(self) -> bool:
        return self._writing is not None and not self._writing.done()

    def write(self, state: State, then: Callable[[State], None] | None = None) -> None:
        """Begin to write, and to do `then` with the state once it is on disk.

        Waits for the one before, and raises OSError where that could not be written.
        """
        self.wait()
        self._written = time.monotonic()
        self._writing = self._thread.submit(self._write, state, then)

    def _write(self, state: State, then: Callable[[State], None] | None) -> None:
        write(self._run, state)
        if then:
            then(state)

    def wait(self) -> None:
        """Return when the last checkpoint is on disk. Raises OSError where it could not be written."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.wait()
        finally:
            self._thread.shutdown()


def _files(run: Run) -> list[Path]:
    """The run's checkpoints, the newest first. Those of a training that is lengthened are newer than its last
    state from before."""
    files = sorted(run.checkpoints_folder.glob("step-*.npz"), reverse=True)
    return [*files, *([run.last_state_file] if run.was_finished else [])]


def _candidate_file(run: Run, candidate: str) -> Path:
    return run.candidates_folder / f"{candidate}.npz"


def _arrays(state: State) -> dict[str, np.ndarray]:
    rows = [asdict(validation) for validation in state.validations]
    arrays = {
        "step": np.int64(state.step),
        "seconds": np.float64(state.seconds),
        "tally": np.array(state.tally, np.float64),
        "valid_labels": state.valid_labels,
        **{f"validations/{name}": np.array([row[name] for row in rows]) for name in COLUMNS},
        **{f"validations/{side}": np.array([list(row[side].values()) for row in rows]) for side in SCORES},
        "validations/valid_right": np.array([np.packbits(row["valid_right"]) for row in rows], np.uint8),
        **_numbered("variables", state.variables),
    }
    if state.best_weights is not None:
        arrays |= {"best_logits": state.best_logits, **_numbered("best_weights", state.best_weights)}
    return arrays


def _state(arrays: Mapping[str, np.ndarray]) -> State:
    loss, right, total, seconds = arrays["tally"].tolist()
    labels = arrays["valid_labels"]
    has_best = "best_logits" in arrays
    return State(
        step=int(arrays["step"]),
        variables=_listed("variables", arrays),
        tally=(loss, int(right), int(total), seconds),
        seconds=float(arrays["seconds"]),
        validations=_validations(arrays, len(labels)),
        best_weights=_listed("best_weights", arrays) if has_best else None,
        best_logits=arrays["best_logits"] if has_best else None,
        valid_labels=labels,
    )


def _validations(arrays: Mapping[str, np.ndarray], pictures: int) -> list[Validation]:
    group = "validations" if "validations/step" in arrays else FORMER["validations"]
    columns = {
        name: arrays[f"{group}/{name if group == 'validations' else FORMER.get(name, name)}"].tolist()
        for name in COLUMNS
    }
    for side in SCORES:
        rows = arrays[f"{group}/{side}"].tolist()
        columns[side] = [Score(int(right), int(total), loss) for right, total, loss in rows]
    columns["valid_right"] = [
        np.unpackbits(row, count=pictures).astype(bool) for row in arrays[f"{group}/valid_right"]
    ]
    by_validation = zip(*columns.values(), strict=True)
    return [Validation(**dict(zip(columns, values, strict=True))) for values in by_validation]


def _numbered(name: str, arrays: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{name}/{number}": array for number, array in enumerate(arrays)}


def _listed(name: str, arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    count = sum(key.startswith(f"{name}/") for key in arrays)
    return [arrays[f"{name}/{number}"] for number in range(count)]
