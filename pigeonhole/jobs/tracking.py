"""A training followed in TensorBoard or MLflow: what `--track` asks for, written inside the run.

Each library is used as it comes, where it is installed. Nothing leaves this computer.
"""

import contextlib
import os
import time
from collections.abc import Iterator, Sequence

from pigeonhole import extras
from pigeonhole.runs.config import DEFAULTS, FLAGS, TrainingConfig
from pigeonhole.runs.records import Progress, Validation
from pigeonhole.runs.run import Run
from pigeonhole.training.callbacks import Callback

MODULES = {"tensorboard": ("tensorboard",), "mlflow": ("mlflow", "sqlalchemy", "alembic")}
EXPERIMENT = "pigeonhole"
MOST_AT_ONCE = 500  # metrics that are kept back before they are written
SECONDS = 5.0  # for which they are kept back


def require(trackers: Sequence[str] | None) -> None:
    """Raise MissingExtra where the library of one of them is not installed."""
    for name in trackers or ():
        extras.require(f"--track {name}", *MODULES[name])


@contextlib.contextmanager
def opened(config: TrainingConfig, run: Run) -> Iterator[list[Callback]]:
    """What `config.track` asks for, to be told of the training within the block."""
    with contextlib.ExitStack() as stack:
        made = [KINDS[name](config, run) for name in dict.fromkeys(config.track or ())]
        for each in made:
            stack.callback(each.close)
        yield list(made)


def of_step(progress: Progress) -> dict[str, float]:
    """The figures of a step by name."""
    return {
        "step/loss": progress.loss,
        "step/accuracy": progress.right / progress.pictures,
        "step/learning_rate": progress.learning_rate,
    }


def of_validation(validation: Validation) -> dict[str, float]:
    """The figures of a validation by name."""
    return {
        "train/loss": validation.train.loss,
        "train/accuracy": validation.train.accuracy,
        "valid/loss": validation.valid.loss,
        "valid/accuracy": validation.valid.accuracy,
        "pictures_per_second": validation.pictures_per_second,
        "epoch": validation.epoch,
    }


class TensorBoard(Callback):
    """Curves for `tensorboard --logdir`: a folder for each network, so that they lie above each other."""

    def __init__(self, config: TrainingConfig, run: Run):
        from pigeonhole.quiet import import_tensorflow

        import_tensorflow()  # which TensorBoard would import with greetings
        from tensorboard.summary import Writer

        self._make = lambda network: Writer(str(run.tensorboard_folder / network))
        self._writers: dict[str, Writer] = {}

    def on_step(self, network: str, progress: Progress) -> None:
        self._add(network, of_step(progress), progress.step)

    def on_validation(self, network: str, validation: Validation) -> None:
        self._add(network, of_validation(validation), validation.step)
        self._writers[network].flush()

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()

    def _add(self, network: str, figures: dict[str, float], step: int) -> None:
        if network not in self._writers:
            self._writers[network] = self._make(network)
        for name, value in figures.items():
            self._writers[network].add_scalar(name, value, step=step)


class MLflow(Callback):
    """An MLflow run in a database inside the run's folder, with the flags that were given and the curves.

    A training that is resumed goes on with the MLflow run that it had.
    """

    def __init__(self, config: TrainingConfig, run: Run):
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # else it tells of each table that it makes
        from mlflow.tracking import MlflowClient

        folder = run.mlflow_folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        self._run = run
        self._client = MlflowClient(tracking_uri=f"sqlite:///{(folder / 'mlflow.db').as_posix()}")
        self._id = self._begun() or self._begin(config, run, folder.as_uri())
        self._waiting: list = []
        self._written = time.perf_counter()

    def on_step(self, network: str, progress: Progress) -> None:
        self._add(network, of_step(progress), progress.step)

    def on_validation(self, network: str, validation: Validation) -> None:
        self._add(network, of_validation(validation), validation.step)

    def close(self) -> None:
        self._write()
        ended = self._run.is_complete
        if ended:
            expected = self._run.result()["expected_accuracy"]
            self._client.log_metric(self._id, "expected_accuracy", expected)
        self._client.set_terminated(self._id, "FINISHED" if ended else "KILLED")

    def _begun(self) -> str | None:
        """The MLflow run of a training that is resumed."""
        experiment = self._client.get_experiment_by_name(EXPERIMENT)
        found = self._client.search_runs([experiment.experiment_id]) if experiment else []
        if not found:
            return None
        self._client.update_run(found[0].info.run_id, "RUNNING")
        return found[0].info.run_id

    def _begin(self, config: TrainingConfig, run: Run, artifacts: str) -> str:
        from mlflow.entities import Param

        experiment = self._client.create_experiment(EXPERIMENT, artifact_location=artifacts)
        begun = self._client.create_run(experiment, run_name=run.name).info.run_id
        given = {field.name: getattr(config, field.name) for field in FLAGS}
        given = {name: value for name, value in given.items() if value != DEFAULTS[name]}
        self._client.log_batch(begun, params=[Param(name, str(value)) for name, value in given.items()])
        return begun

    def _add(self, network: str, figures: dict[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._waiting += [Metric(f"{network}/{name}", value, now, step) for name, value in figures.items()]
        if len(self._waiting) > MOST_AT_ONCE or time.perf_counter() - self._written > SECONDS:
            self._write()

    def _write(self) -> None:
        self._client.log_batch(self._id, metrics=self._waiting)
        self._waiting, self._written = [], time.perf_counter()


KINDS = {"tensorboard": TensorBoard, "mlflow": MLflow}
