"""What callers that do not know `Run` yet ask for; to be removed with the last of them."""

from pathlib import Path

from pigeonhole.runs import creation, search
from pigeonhole.runs.creation import check_name, check_output  # noqa: F401
from pigeonhole.runs.run import MODEL, Run  # noqa: F401
from pigeonhole.runs.search import RUNS  # noqa: F401

CHECKPOINT, LABELS, ONNX = Run.checkpoint_file.name, Run.labels_file.name, Run.onnx_file.name
SETTINGS, CHECKPOINTS = Run.settings_file.name, Run.checkpoints_folder.name


def new_run(output: Path, name: str | None = None) -> Path:
    return creation.create(output, name).folder


def is_finished(run: Path) -> bool:
    return Run(run).has_model


def is_interrupted(run: Path) -> bool:
    return Run(run).is_interrupted


def held(run: Path):
    return Run(run).held()


def unfinished(output: Path) -> Path | None:
    run = search.last_interrupted(output)
    return run.folder if run else None


def newest(output: Path) -> Path | None:
    run = search.newest(output)
    return run.folder if run else None


def find(model: str | Path | None = None, flag: str = "--model") -> Path:
    return search.find(model, flag).prefix
