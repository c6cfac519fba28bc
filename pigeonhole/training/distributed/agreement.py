"""What workers tell each other before they train: the chief's flags, its earlier run and its state."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pigeonhole.runs import previous, runs
from pigeonhole.runs.previous import Earlier
from pigeonhole.training.distributed.cluster import Cluster

if TYPE_CHECKING:
    from pigeonhole.training.distributed.workers import Workers
    from pigeonhole.training.trainer import Trainer


def plan(given: argparse.Namespace, options: argparse.Namespace, before: Earlier | None) -> dict[str, object]:
    """What the chief tells the other workers, as JSON can hold it: its flags, and the earlier run's files.

    `given`: the flags of the command line alone; `options`: with those of the earlier run.
    """
    files = (runs.SETTINGS, previous.SPLIT) if before else ()
    return {
        "given": _told(given),
        "flags": _told(options),
        "resumes": options.resume is not None,
        "files": {name: (before.run / name).read_text("utf-8", "surrogateescape") for name in files},
    }


def _told(options: argparse.Namespace) -> dict[str, object]:
    """The flags that must be the same at all workers: those that decide the outcome, but for the threads."""
    names = [*(name for name in previous.DECISIVE if name != "threads"), "check_unseen", "learning_curve"]
    values = {name: getattr(options, name) for name in (*names, "force")}
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def join(place: Cluster, own_plan: dict[str, object]) -> tuple["Workers", dict[str, object]]:
    """Meet the other workers, see that they were given the same flags and run the same versions, and learn
    the chief's plan."""
    from pigeonhole.runs import settings
    from pigeonhole.training.distributed import workers

    together = workers.join(place, lambda line: print(line, flush=True))
    flags = {f"--{name.replace('_', '-')}": value for name, value in own_plan["given"].items()}
    together.require_the_same({**settings.versions(), **flags})
    return together, together.from_chief(own_plan)


def adopt(options: argparse.Namespace, chiefs: dict[str, object], folder: Path) -> Earlier | None:
    """Take over the chief's flags, and the earlier run that it goes on with, whose files go to `folder`."""
    flags = {
        name: Path(value) if name in previous.PATHS and value is not None else value
        for name, value in chiefs["flags"].items()
    }
    vars(options).update(flags)
    for name, text in chiefs["files"].items():
        (folder / name).write_text(text, "utf-8", "surrogateescape")
    before = previous.read(folder) if chiefs["files"] else None
    options.data = options.data or (before and before.options["data"])
    options.weights = options.weights or (before and before.options.get("weights"))
    options.resume = folder if chiefs["resumes"] else None
    return before


def restore_together(trainer: "Trainer", workers: "Workers") -> None:
    """Bring the trainers of all workers to where the chief's is."""
    from pigeonhole.runs import checkpoints

    content = workers.bytes_from_chief(checkpoints.packed(trainer.state()) if workers.is_chief else b"")
    if not workers.is_chief:
        trainer.restore(checkpoints.unpacked(content))
