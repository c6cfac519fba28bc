"""A complete training: from its config to a run with a report.

job = TrainingJob(TrainingConfig(data=Path("my_pictures")))
exit_status = job.train()
print(job.run)
"""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pigeonhole import atomic_file, cli
from pigeonhole.errors import PigeonholeError
from pigeonhole.interrupts import Terminated
from pigeonhole.jobs import setup as setups
from pigeonhole.runs import creation
from pigeonhole.runs.config import Settled, TrainingConfig
from pigeonhole.runs.previous import PreviousRun
from pigeonhole.runs.run import Run
from pigeonhole.terminal import say
from pigeonhole.training.distributed import agreement
from pigeonhole.training.distributed.cluster import Cluster
from pigeonhole.training.failures import Stuck

if TYPE_CHECKING:
    from pigeonhole.jobs.following import Trained
    from pigeonhole.training.distributed.workers import Workers


class TrainingJob:
    """A training whose pictures are read and whose network is built as soon as this object is made.

    `previous_run`: the run that is resumed or repeated. `workers`: who trains together, None for one process.
    Raises UsageError and PigeonholeError where the config does not fit itself, the data or the previous run.
    """

    def __init__(
        self,
        config: TrainingConfig,
        previous_run: PreviousRun | None = None,
        workers: "Workers | None" = None,
    ):
        self._began = time.perf_counter()
        self.config = config
        self.setup = setups.prepare(config, previous_run, workers)
        from pigeonhole.jobs import trainers

        self.trainer = trainers.make(self.setup)
        self.run: Run | None = None  # known once `train` has begun
        self._changes: list[str] = []  # since the run was begun, where it is resumed

    def train(self) -> int:
        """Train, save, judge and report; the exit status.

        0: done; 1: a repetition that came out differently, or a loss that is not a number; 128 + a signal's
        number: stopped by it. Raises Diverged where there is no network to save.
        """
        try:
            self.run = self._folder()
            return self._train()
        except (KeyboardInterrupt, Terminated) as interrupt:
            if self.run is None or not self._says_how_to_go_on(isinstance(interrupt, Terminated)):
                raise
            return cli.TERMINATED if isinstance(interrupt, Terminated) else cli.INTERRUPTED

    def _train(self) -> int:
        """Train, save, judge and report in the run's folder; the exit status as of `train`."""
        from pigeonhole.jobs import conclusion, following

        with self.run.held():
            self._begin()
            with _resumable(self.run):
                trained = self._follow()
                if trained.exit_status == following.TERMINATED:
                    say(f"terminated  go on with: {resume_command(self.run)}")
                    return trained.exit_status
                stopped_by = conclusion.conclude(self.setup, self.trainer, self.run, trained, self._began)
        if trained.exit_status == following.DIVERGED:
            return trained.exit_status  # to resume would end in the same way
        if trained.exit_status:
            say(f"resume      {resume_command(self.run)}")
            return trained.exit_status
        shutil.rmtree(self.run.checkpoints_folder)  # nothing is left to go on with
        if self.config.repeat is None:
            return stopped_by
        differing = self._differing()
        self._tell_repetition(differing)
        return stopped_by or (1 if differing else 0)

    def _says_how_to_go_on(self, terminated: bool) -> bool:
        """Say how to go on after a signal before the first step or after the last.

        False where nothing is left to do or to go on with; a folder without settings is removed.
        """
        if not (self.config.is_resumed or self.run.settings_file.is_file()):
            shutil.rmtree(self.run.folder)  # made by this call
            return False
        if self.run.is_complete:
            return False
        if terminated:
            say("", f"terminated  go on with: {resume_command(self.run)}")
        else:
            say("", f"resume      {resume_command(self.run)}")
        return True

    def follow_chief(self) -> int:
        """Train as one of several workers, of which the chief alone writes; the exit status."""
        from pigeonhole.jobs import following, trainers

        if self.config.is_resumed:
            agreement.restore_together(self.trainer, self.setup.workers)
        with following.stop_request(self.setup.workers) as request:
            try:
                return following.follow_chief(self.trainer, request)
            except Stuck:
                self.trainer = trainers.restarted(self.setup, self.trainer)
            return following.follow_chief(self.trainer, request)

    def _follow(self) -> "Trained":
        """Train to the end, with a second attempt where the loss does not move in the first."""
        from pigeonhole.jobs import following

        with following.stop_request(self.setup.workers) as request:
            try:
                return following.follow(self.trainer, self.run, self.config, request)
            except Stuck as stuck:
                self._restart(stuck)
            return following.follow(self.trainer, self.run, self.config, request)

    def _restart(self, stuck: Stuck) -> None:
        """Make the trainer of the second attempt.

        Its settings are written when no checkpoint of the first is left, so that a training that is killed in
        between begins the first again.
        """
        from pigeonhole.jobs import trainers
        from pigeonhole.runs import checkpoints, settings

        self.trainer = trainers.restarted(self.setup, self.trainer)
        recipe = self.trainer.recipe
        again = f"again from the start with {recipe.optimizer}, learning rate up to {recipe.learning_rate:g}"
        say(f"restarted   {stuck}; {again}")
        checkpoints.remove(self.run)
        settled = trainers.settled(self.setup, self.trainer, self._changes)
        settings.write(self.run, self.config, settled, self.setup.sets)

    def _folder(self) -> Run:
        if self.config.is_resumed:
            return self.setup.previous_run.run
        return creation.create(self.config.output, self.config.name)

    def _begin(self) -> None:
        """Bring a resumed trainer to where it was, say what will be done, and write down what is known."""
        from pigeonhole.jobs import announcement, trainers

        changes = self._changes = self._resume() if self.config.is_resumed else []
        settled = trainers.settled(self.setup, self.trainer, changes)
        say("", *announcement.lines(self.setup, settled, self.trainer, self.run))
        if changes or not self.config.is_resumed:
            self._write_start(settled)

    def _resume(self) -> list[str]:
        """Restore the last checkpoint; the changes since the run was begun."""
        before, sets = self.setup.previous_run, self.setup.sets
        of_data = before.changed_data(sets.records, sets.sides)
        of_options = before.changed_options(self.config, self.setup.choice.weights_digest)
        self._restore(same_pictures=not of_data)
        if self.setup.workers:
            agreement.restore_together(self.trainer, self.setup.workers)
        return [*before.changed_midway, *of_options, *of_data]

    def _restore(self, same_pictures: bool) -> None:
        """Bring the trainer to where the run's last checkpoint was; without one it begins at the start."""
        from pigeonhole.runs import checkpoints

        atomic_file.remove_leftovers(self.run.folder)
        state = checkpoints.newest(self.run)
        if state is None:
            return
        try:
            self.trainer.restore(state if same_pictures else state.without_validations())
        except ValueError as error:
            raise PigeonholeError(f"{self.run}: its checkpoint is of another network; train again") from error

    def _write_start(self, settled: Settled) -> None:
        """Write what is known before the first step: split, what each picture looks like, and settings.

        The settings come last: a run that has them can be resumed.
        """
        from pigeonhole.data import split
        from pigeonhole.evaluation import leakage
        from pigeonhole.runs import seals, settings

        seals.forget(self.run.split_file)
        sets = self.setup.sets
        split.write_split(self.run.split_file, sets.records, sets.sides)
        record_of = {record.entry.name: record for record in sets.records}
        records = [record_of[name] for name in sets.everything.names]
        seals.note(self.run.split_file)
        leakage.write(self.run, records, sets.everything.images, sets.sides)
        settings.write(self.run, self.config, settled, sets)

    def _differing(self) -> list[str]:
        """Which of weights, history and predictions came out differently from the run that was repeated."""
        from pigeonhole.runs import digests

        return digests.differing(digests.read(self.setup.previous_run.run), digests.read(self.run))

    def _tell_repetition(self, differing: list[str]) -> None:
        before = self.setup.previous_run.run
        if differing:
            say(f"repeated    not identical to {before}: other {', '.join(differing)}")
        else:
            say(f"repeated    identical to {before}: weights, history and predictions")


def join(
    cluster: Cluster, asked: TrainingConfig, config: TrainingConfig, previous_run: PreviousRun | None = None
) -> tuple["Workers", dict[str, object]]:
    """Meet the other workers, and learn the chief's plan. `asked`: the flags of the command line alone."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # else TensorFlow reports workers that have ended well
    setups.start_tensorflow(config.threads)
    return agreement.join(cluster, agreement.plan(asked, config, previous_run))


def run_worker(asked: TrainingConfig, cluster: Cluster) -> int:
    """Train as one of several workers, with what the chief has been told and found; the exit status."""
    name = cluster.name(cluster.index)
    say(f"{name} of {len(cluster.addresses)}; {cluster.name(0)} writes the run")
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(None):
        workers, chiefs = join(cluster, asked, asked)
        config, previous_run = agreement.adopt(asked, chiefs, Path(folder))
        job = TrainingJob(config, previous_run, workers)
        exit_status = job.follow_chief()
    say(f"{name} has ended after step {job.trainer.steps_done:,}")
    return exit_status


def resume_command(run: Run) -> str:
    return f"{cli.command('train')} --resume {cli.quote(run)}"


@contextlib.contextmanager
def _resumable(run: Run) -> Iterator[None]:
    """Add to the error of a full or failing disk that what the last checkpoint holds is not lost."""
    try:
        yield
    except OSError as error:
        place = f": {error.filename}" if error.filename else ""
        raise PigeonholeError(
            f"{error.strerror or error}{place}; fix that, and go on with: {resume_command(run)}"
        ) from error
