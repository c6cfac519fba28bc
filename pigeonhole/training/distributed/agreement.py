"""What workers tell each other apart from the sums of a training: the chief's config, its previous run, its
state, and what to do next."""

import _thread
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pigeonhole import cli
from pigeonhole.arguments import Effect
from pigeonhole.errors import PigeonholeError
from pigeonhole.interrupts import Terminated
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

LISTENING_SECONDS = 1.0  # between two moments at which the chief hears of signals, while it works alone
Order = dict[str, object]  # as JSON can hold it


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
    """The chief's config and previous run at another worker, which keeps its own paths and threads.

    `chiefs`: its `plan`. The files of its previous run are written to `folder`.
    """
    for name, text in chiefs["files"].items():
        (folder / name).write_text(text, "utf-8", "surrogateescape")
    previous_run = previous.read(Run(folder)) if chiefs["files"] else None
    if previous_run:  # whose threads are the chief's
        own = {**previous_run.options, "threads": asked.threads}
        previous_run = replace(previous_run, options=own)
    known = previous_run.options if previous_run else {}
    config = replace(
        asked,
        **configs.parsed(chiefs["flags"]),
        data=asked.data or known.get("data"),
        weights=asked.weights or known.get("weights"),
        backbone=asked.backbone or known.get("backbone"),
        resume=folder if chiefs["resumes"] else None,
    )
    return config, previous_run


def restore_together(trainer: "Trainer", workers: "Workers") -> None:
    """Bring the trainers of all workers to where the chief's is."""
    from pigeonhole.runs import checkpoints

    content = workers.bytes_from_chief(checkpoints.packed(trainer.state()) if workers.is_chief else b"")
    if not workers.is_chief:
        trainer.restore(checkpoints.unpacked(content))


def fit_together(trainer: "Trainer", workers: "Workers") -> None:
    """Have the trainers of all workers train and validate as often as the chief has measured."""
    trainer.total_steps = workers.from_chief(trainer.total_steps)
    every = workers.from_chief(trainer.recipe.validate_every)
    trainer.recipe = replace(trainer.recipe, validate_every=every)


class Lead:
    """The chief's part where it works alone at times: the other workers wait for its `orders`, until `end` or
    the end of its block.

    While they wait for the first one, a signal at any of them acts as one at the chief, and the loss of one
    raises WorkerLost within the block. Does nothing where `workers` is None.
    """

    def __init__(self, workers: "Workers | None"):
        self._workers = workers
        self._are_waiting = workers is not None
        self._is_over = threading.Event()
        self._lost: PigeonholeError | None = None
        self._listener = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> "Lead":
        if self._are_waiting:
            self._listener.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._lost and kind is KeyboardInterrupt:
            raise self._lost from None  # the listener's own interrupt
        by_signal = {None: 0, KeyboardInterrupt: cli.INTERRUPTED, Terminated: cli.TERMINATED}
        self.end(by_signal.get(kind, 1))

    def end(self, exit_status: int) -> None:
        """Have the others end with this status, if they wait; where they train, they find out themselves."""
        if self._are_waiting:
            with contextlib.suppress(PigeonholeError):  # of a worker that was lost, and is no longer needed
                self._tell({"exit_status": exit_status})

    @contextlib.contextmanager
    def order(self, order: Order) -> Iterator[None]:
        """Have the others do this along with the block. Raises WorkerLost where one has ended."""
        if self._workers:
            self._tell(order)
        yield
        self._are_waiting = self._workers is not None

    def _tell(self, order: Order) -> None:
        self._is_over.set()
        self._listener.join()
        if self._lost:
            raise self._lost
        self._are_waiting = False
        self._workers.gather(order)

    def _listen(self) -> None:
        is_passed_on = False
        while not self._is_over.wait(LISTENING_SECONDS):
            try:
                signals = self._workers.gather(None)[1:]
            except PigeonholeError as error:
                self._lost = error
                if not self._is_over.is_set():
                    _thread.interrupt_main()
                return
            if any(signals) and not is_passed_on:
                is_passed_on = True
                _thread.interrupt_main(max(signals))


def orders(workers: "Workers") -> Iterator[Order]:
    """What the chief's `Lead` orders, at another worker, within the block of a `StopTogether`.

    The last order has the `exit_status` with which it is to end. Raises WorkerLost where one has ended.
    """
    while True:
        if order := workers.gather(workers.own_signal)[0]:
            yield order
