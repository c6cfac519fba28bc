"""Finding runs: the newest, the one to resume, and the one that the user names."""

import re
import sys
from pathlib import Path

from pigeonhole import cli
from pigeonhole.errors import PigeonholeError, UsageError, naming
from pigeonhole.runs.run import MODEL, Run
from pigeonhole.terminal import say

RUNS = Path("runs")  # of the working directory


def newest_first(folder: Path) -> list[Run]:
    """All runs in `folder`, the one that was written last first; none where there is no such folder.

    The one order of runs, by time and, for equal times, by name: it says which is the newest, which was
    interrupted last, and in which order they are listed.
    """
    runs = [Run(path) for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    return sorted(runs, key=lambda run: (run.last_written, run.folder.name), reverse=True)


def newest(folder: Path) -> Run | None:
    """The run in `folder` that answers where none is named; None where no run can.

    It is the newest finished run. Where none is finished, it is the newest whose training was stopped with
    its model saved, else the newest that was interrupted. Damaged runs are passed over, with a line each on
    standard error.
    """
    others: list[Run] = []
    for run in newest_first(folder):
        try:
            if run.named_model() == MODEL:
                check_files(run)
                if run.is_complete or run.was_finished:
                    return run
            if run.has_model or run.is_interrupted:
                others.append(run)
        except PigeonholeError as error:
            say(f"passed over {run}: {error}", to=sys.stderr)
    return max(others, key=lambda run: run.has_model, default=None)  # the first of several equal ones


def last_interrupted(folder: Path) -> Run | None:
    """The run in `folder` whose training was the last to run and is not finished; None without one.

    One that a process is training at present is not meant.
    """
    for run in newest_first(folder):
        if not run.is_complete and run.settings_file.is_file() and not run.is_held:
            return run
    return None


def find(model: str | Path | Run | None = None, flag: str = "--model") -> Run:
    """The run that is meant, whose model is there, or a state of its training to make one of.

    `model`: a run's folder or its name below `runs/`, any folder with a TensorFlow `checkpoint` file, a path
    to a `.meta` file or its prefix, an ONNX file that was exported, or a zip archive of a run's folder. None:
    that of `newest` in the working directory's `runs/`.
    `flag`: where the user named it, for the error.
    Raises UsageError when there is no such run, PigeonholeError when it is unfinished or lacks a file.
    """
    if model is None:
        return _newest_here()
    run = model if isinstance(model, Run) else _named(str(model), flag)
    if not (run.is_interrupted or run.is_lone):
        with naming(run.folder, run.origin):
            check_files(run)
    return run


def _newest_here() -> Run:
    if run := newest(RUNS):
        return run
    begun = newest_first(RUNS)
    told = f"no finished run yet, only the unfinished {begun[0]}" if begun else "no run yet"
    raise UsageError(f"{told}; train first: {cli.command('train')} --data training_data")


def _named(model: str, flag: str) -> Run:
    path = Path(model)
    for folder in (path, RUNS / path):
        if folder.is_dir():
            return _inside(folder)
    if Run(path).is_lone:
        return Run(path)
    if path.suffix.lower() == ".zip" and path.is_file():
        from pigeonhole.runs import unpacking

        return unpacking.unpack(path)
    if path.name == MODEL and Run(path.parent).is_interrupted:
        return Run(path.parent)
    if path.suffix == ".meta" and path.is_file():
        return Run(path.parent, path.stem)
    if Path(f"{model}.meta").is_file():
        return Run(path.parent, path.name)
    raise UsageError(
        f"{flag} {model}: no such run; give a run's folder, its name in runs/, or a .meta, .onnx or .zip file"
    )


def _inside(folder: Path) -> Run:
    """The run with the model that the folder's `checkpoint` names, perhaps by the path that it once had."""
    run = Run(folder)
    if run.is_interrupted:
        return run
    named = run.named_model()
    if named is None and run.onnx_file.is_file():
        return Run(run.onnx_file)  # the first answer, before the training has saved its graph
    if named is None:
        raise PigeonholeError(
            f"{folder}: the run is not finished (it has no {run.checkpoint_file.name} file)"
        )
    elsewhere = Path(named) if Path(named).is_absolute() else folder / named
    moved = Path(named).is_absolute() and not Path(f"{named}.index").exists()
    if elsewhere.parent.resolve() != folder.resolve() and not moved:
        raise PigeonholeError(
            f"{run.checkpoint_file}: points elsewhere, to {named}; name the .meta file that you mean"
        )
    return Run(folder, re.split(r"[/\\]", named)[-1])


def check_files(run: Run) -> None:
    """Raise PigeonholeError where the model's graph, its index or a part of its data is missing."""
    prefix = run.prefix
    for suffix in (".meta", ".index"):
        if not Path(f"{prefix}{suffix}").is_file():
            raise PigeonholeError(f"{prefix}{suffix}: missing, so the model cannot be restored")
    parts = sorted(run.folder.glob(f"{_literally(prefix.name)}.data-*-of-*"))
    expected = int(parts[0].name.rpartition("-")[2]) if parts else 1
    if len(parts) != expected:
        raise PigeonholeError(
            f"{prefix}.data-*: {len(parts)} of {expected} files are there; the model is incomplete"
        )


def _literally(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)
