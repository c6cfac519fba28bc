"""What a run folder holds, which runs are finished, and where a model lies that the user names."""

import ast
import itertools
import re
import time
from pathlib import Path

from pigeonhole.errors import PigeonholeError, UsageError

RUNS = Path("runs")
MODEL = "model"
CHECKPOINT = "checkpoint"
LABELS = "labels.txt"
ONNX = "model.onnx"

_CHECKOUT_RUNS = Path(__file__).resolve().parents[1] / RUNS
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


def newest(output: Path) -> Path | None:
    """The run in `output` that was finished last; None where there is none."""
    if not output.is_dir():
        return None
    finished = [run for run in output.iterdir() if is_finished(run)]
    return max(finished, key=lambda run: ((run / CHECKPOINT).stat().st_mtime_ns, run.name), default=None)


def find(model: str | Path | None = None, flag: str = "--model") -> Path:
    """The prefix of the model's files, such as `runs/NAME/model` for `runs/NAME/model.meta` and its sisters.

    `model`: a run's folder or its name below `runs/`, any folder with a TensorFlow `checkpoint` file, or a
    path to a `.meta` file or its prefix. None: the newest finished run in `./runs`, else in the checkout's.
    `flag`: where the user named it, for the error.
    Raises UsageError when there is no such model, PigeonholeError when it is unfinished or lacks a file.
    """
    return _complete(_newest_anywhere() / MODEL if model is None else _named(str(model), flag))


def _newest_anywhere() -> Path:
    places = (RUNS, _CHECKOUT_RUNS)
    for place in places:
        if run := newest(place):
            return run
    for place in places:
        if place.is_dir() and (unfinished := sorted(run for run in place.iterdir() if run.is_dir())):
            raise UsageError(
                f"no finished run yet, only the unfinished {unfinished[-1]}; "
                "train first: python train.py --data training_data"
            )
    raise UsageError("no run yet; train first: python train.py --data training_data")


def _named(model: str, flag: str) -> Path:
    path = Path(model)
    for folder in (path, RUNS / path, _CHECKOUT_RUNS / path):
        if folder.is_dir():
            return _prefix_in(folder)
    if path.suffix == ".meta" and path.is_file():
        return path.with_suffix("")
    if Path(f"{model}.meta").is_file():
        return path
    raise UsageError(f"{flag} {model}: no such run; give a run's folder, its name in runs/, or a .meta file")


def _prefix_in(folder: Path) -> Path:
    """The prefix that the folder's `checkpoint` names. It may hold the full path of where it was trained."""
    checkpoint = folder / CHECKPOINT
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
