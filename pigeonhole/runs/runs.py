"""What a run folder holds, which runs are finished, and where a model lies that the user names."""

import ast
import contextlib
import itertools
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pigeonhole import cli, locks
from pigeonhole.errors import PigeonholeError, UsageError

RUNS = Path("runs")
MODEL = "model"
CHECKPOINT = "checkpoint"
LABELS = "labels.txt"
ONNX = "model.onnx"
SETTINGS = "settings.json"
CHECKPOINTS = "checkpoints"
LOCK = Path(CHECKPOINTS, "lock")

_CHECKOUT_RUNS = Path(__file__).resolve().parents[2] / RUNS
_MODEL_PATH = re.compile(r'^\s*model_checkpoint_path:\s*("(?:[^"\\]|\\.)*")\s*$', re.MULTILINE)


def new_run(output: Path, name: str | None = None) -> Path:
    """Create `output/name`, by default named by date and time, and give its path.

    Raises UsageError when a run of that name exists, finished or not, or when the name is not a folder's.
    """
    if name is None:
        stem = time.strftime("%Y-%m-%d_%H-%M-%S")
        candidates = (stem if number == 1 else f"{stem}_{number}" for number in itertools.count(1))
    else:
        check_name(output, name)
        candidates = iter([name])
    output.mkdir(parents=True, exist_ok=True)
    for candidate in candidates:
        try:
            (output / candidate).mkdir()
        except FileExistsError:
            continue
        return output / candidate
    raise UsageError(f"--name {name}: {output / name} exists already; choose another name")


def check_output(output: Path) -> None:
    """Raise OSError where no run can be written into `output`, which need not exist yet."""
    existing = next(folder for folder in (output, *output.parents) if folder.exists())
    with tempfile.TemporaryFile(dir=existing):
        pass


def check_name(output: Path, name: str) -> None:
    """Raise UsageError when no run in `output` can be given this name."""
    if not name.strip() or name in (".", "..") or any(character in name for character in "/\\:\0"):
        raise UsageError(f"--name {name!r}: give a plain folder name")
    if (output / name).exists():
        raise UsageError(f"--name {name}: {output / name} exists already; choose another name")


def is_finished(run: Path) -> bool:
    """Whether the run's model is complete: `checkpoint` is written last and names it."""
    try:
        return _named_in(run / CHECKPOINT) == MODEL
    except (OSError, PigeonholeError):
        return False


def is_interrupted(run: Path) -> bool:
    """Whether the run has no complete model, but a state of its training to take one from."""
    return not is_finished(run) and any((run / CHECKPOINTS).glob("step-*.npz"))


def unfinished(output: Path) -> Path | None:
    """The run in `output` whose training was under way last and has not come to its end; None without one.

    One that another process is training at present is not meant.
    """
    places = sorted(output.glob(f"*/{CHECKPOINTS}"), key=lambda place: place.stat().st_mtime_ns, reverse=True)
    candidates = (place.parent for place in places if (place.parent / SETTINGS).is_file())
    return next((run for run in candidates if not locks.is_held(run / LOCK)), None)


@contextlib.contextmanager
def held(run: Path) -> Iterator[None]:
    """Keep other processes from training this run. Raises PigeonholeError where one does so already."""
    lock = run / LOCK
    lock.parent.mkdir(exist_ok=True)
    with locks.at_once(lock) as is_ours:
        if not is_ours:
            raise PigeonholeError(f"{run}: another process is training this run")
        yield


def newest(output: Path) -> Path | None:
    """The run in `output` that was finished last; None where there is none."""
    if not output.is_dir():
        return None
    finished = [run for run in output.iterdir() if is_finished(run)]
    return max(finished, key=lambda run: ((run / CHECKPOINT).stat().st_mtime_ns, run.name), default=None)


def find(model: str | Path | None = None, flag: str = "--model") -> Path:
    """The prefix of the model's files, such as `runs/NAME/model` for `runs/NAME/model.meta` and its sisters.

    `model`: a run's folder or its name below `runs/`, any folder with a TensorFlow `checkpoint` file, or a
    path to a `.meta` file or its prefix. None: the newest finished run in `./runs`, else in the checkout's,
    else one that was interrupted. Where the run `is_interrupted`, the model has yet to be made of its state.
    `flag`: where the user named it, for the error.
    Raises UsageError when there is no such model, PigeonholeError when it is unfinished or lacks a file.
    """
    prefix = _newest_anywhere() / MODEL if model is None else _named(str(model), flag)
    return prefix if is_interrupted(prefix.parent) else _complete(prefix)


def _newest_anywhere() -> Path:
    places = (RUNS, _CHECKOUT_RUNS)
    for place in places:
        if run := newest(place):
            return run
    begun = sorted(run for place in places if place.is_dir() for run in place.iterdir() if run.is_dir())
    if interrupted := [run for run in begun if is_interrupted(run)]:
        return interrupted[-1]
    if begun:
        raise UsageError(
            f"no finished run yet, only the unfinished {begun[-1]}; "
            f"train first: {cli.command('train')} --data training_data"
        )
    raise UsageError(f"no run yet; train first: {cli.command('train')} --data training_data")


def _named(model: str, flag: str) -> Path:
    path = Path(model)
    for folder in (path, RUNS / path, _CHECKOUT_RUNS / path):
        if folder.is_dir():
            return _prefix_in(folder)
    if path.name == MODEL and is_interrupted(path.parent):
        return path
    if path.suffix == ".meta" and path.is_file():
        return path.with_suffix("")
    if Path(f"{model}.meta").is_file():
        return path
    raise UsageError(f"{flag} {model}: no such run; give a run's folder, its name in runs/, or a .meta file")


def _prefix_in(folder: Path) -> Path:
    """The prefix that the folder's `checkpoint` names. It may hold the full path of where it was trained."""
    checkpoint = folder / CHECKPOINT
    if is_interrupted(folder):
        return folder / MODEL
    if not checkpoint.is_file():
        raise PigeonholeError(f"{folder}: the run is not finished (it has no {CHECKPOINT} file)")
    named = _named_in(checkpoint)
    prefix = folder / re.split(r"[/\\]", named)[-1]
    elsewhere = Path(named) if Path(named).is_absolute() else folder / named
    moved = Path(named).is_absolute() and not Path(f"{named}.index").exists()
    if elsewhere.parent.resolve() != folder.resolve() and not moved:
        raise PigeonholeError(
            f"{checkpoint}: points elsewhere, to {named}; name the .meta file that you mean"
        )
    return prefix


def _named_in(checkpoint: Path) -> str:
    match = _MODEL_PATH.search(checkpoint.read_text("utf-8", errors="replace"))
    if not match:
        raise PigeonholeError(f"{checkpoint}: damaged, it names no model")
    # TensorFlow escapes what is not ASCII, byte by byte, as Python does in a bytes literal.
    return ast.literal_eval("b" + match[1]).decode("utf-8", errors="surrogateescape")


def _complete(prefix: Path) -> Path:
    """The prefix, once its graph, index and all parts of its data are seen to exist."""
    for suffix in (".meta", ".index"):
        if not Path(f"{prefix}{suffix}").is_file():
            raise PigeonholeError(f"{prefix}{suffix}: missing, so the model cannot be restored")
    parts = sorted(prefix.parent.glob(f"{_literally(prefix.name)}.data-*-of-*"))
    expected = int(parts[0].name.rpartition("-")[2]) if parts else 1
    if len(parts) != expected:
        raise PigeonholeError(
            f"{prefix}.data-*: {len(parts)} of {expected} files are there; the model is incomplete"
        )
    return prefix


def _literally(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)
