"""What workers tell each other before they train: the chief's config, its previous run and its state."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pigeonhole.arguments import Effect
from pigeonhole.runs import config as configs
from pigeonhole.runs import previous
from pigeonhole.runs.config import TrainingConfig
from pigeonhole.runs.previous import PreviousRun
from pigeonhole.runs.run import Run
from pigeonhole.terminal import say
from pigeonhole.training.distributed.cluster import Cluster

if TYPE_CHECKING:
    from pigeonhole.training.distributed.workers import Workers
    from pigeonhole.training.trainer import Trainer


def plan(
    asked: TrainingConfig, config: TrainingConfig, previous_run: PreviousRun | None
) -> dict[str, object]:
    """What the chief tells the other workers, as JSON can hold it: its config, and the previous run's files.

    `asked`: the flags of the command line alone; `config`: with those of the previous run.
    """
    files = (previous_run.run.settings_file, previous_run.run.split_file) if previous_run else ()
    return {
        "given": _shared(asked),
        "flags": _shared(config),
        "resumes": config.is_resumed,
        "files": {file.name: file.read_text("utf-8", "surrogateescape") for file in files},
    }


def _shared(config: TrainingConfig) -> dict[str, object]:
    """The flags that must be the same at all workers: those that decide the outcome, but for the threads, and
    those that end a training before its first step."""
    values = config.values(Effect.OUTCOME, Effect.LENGTH, Effect.OUTPUT, Effect.CALL)
    also = ("check_unseen", "learning_curve", "force")
    names = [*(name for name in previous.DECISIVE if name != "threads"), *also]
    return {name: values[name] for name in names}


def join(cluster: Cluster, own_plan: dict[str, object]) -> tuple["Workers", dict[str, object]]:
    """Meet the other workers, see that they were given the same flags and run the same versions, and learn
    the chief's plan."""
    from pigeonhole.runs import settings
    from pigeonhole.training.distributed import workers

    together = workers.join(cluster, say)
    flags = {f"--{name.replace('_', '-')}": value for name, value in own_plan["given"].items()}
    together.require_the_same({**settings.versions(), **flags})
    return together, together.from_chief(own_plan)


def adopt(
    asked: TrainingConfig, chiefs: dict[str, object], folder: Path
) -> tuple[TrainingConfig, PreviousRun | None]:
    """The chief's config and previous run at another worker, which keeps its own paths.

    `chiefs`: its `plan`. The files of its previous run are written to `folder`.
    """
    for name, text in chiefs["files"].items():
        (folder / name).write_text(text, "utf-8", "surrogateescape")
    previous_run = previous.read(Run(folder)) if chiefs["files"] else None
    known = previous_run.options if previous_run else {}
    config = replace(
        asked,
        **configs.parsed(chiefs["flags"]),
        data=asked.data or known.get("data"),
        weights=asked.weights or known.get("weights"),
        resume=folder if chiefs["resumes"] else None,
    )
    return config, previous_run


def restore_together(trainer: "Trainer", workers: "Workers") -> None:
    """Bring the trainers of all workers to where the chief's is."""
    from pigeonhole.runs import checkpoints

    content = workers.bytes_from_chief(checkpoints.packed(trainer.state()) if workers.is_chief else b"")
    if not workers.is_chief:
        trainer.restore(checkpoints.unpacked(content))
