"""A complete training: from its config to a run with a report.

job = TrainingJob(TrainingConfig(data=Path("my_pictures")))
exit_status = job.train()
print(job.run)
"""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pigeonhole import atomic_file
from pigeonhole.errors import PigeonholeError
from pigeonhole.jobs import setup as setups
from pigeonhole.jobs.job import Job, resumable, resume_command
from pigeonhole.runs.config import TrainingConfig
from pigeonhole.runs.previous import PreviousRun
from pigeonhole.terminal import say
from pigeonhole.training.callbacks import Listener, Told
from pigeonhole.training.distributed import agreement
from pigeonhole.training.failures import Stuck

if TYPE_CHECKING:
    from pigeonhole.jobs.following import Trained
    from pigeonhole.model.interim import Interim
    from pigeonhole.training.distributed.workers import Workers


class TrainingJob(Job):
    """A training whose pictures are read and whose network is built as soon as this object is made.

    `previous_run`: the run that is resumed or repeated. `workers`: who trains together, None for one process.
    `callbacks`: who is told of each step and validation.
    Raises UsageError and PigeonholeError where the config does not fit itself, the data or the previous run.
    """

    def __init__(
        self,
        config: TrainingConfig,
        previous_run: PreviousRun | None = None,
        workers: "Workers | None" = None,
        callbacks: Sequence[Listener] = (),
    ):
        began = time.perf_counter()
        super().__init__(config, setups.prepare(config, previous_run, workers), began, callbacks)
        from pigeonhole.jobs import trainers

        self.trainer = trainers.make(self.setup)
        self._changes: list[str] = []  # since the run was begun, where it is resumed

    def _train(self) -> int:
        """Train, save, judge and report in the run's folder; the exit status as of `train`."""
        from pigeonhole.jobs import conclusion, following
        from pigeonhole.runs import checkpoints

        with self.run.held():
            self._begin()
            with resumable(self.run):
                trained = self._follow()
                if trained.exit_status == following.TERMINATED:
                    say(f"terminated  go on with: {resume_command(self.run)}")
                    return trained.exit_status
                stopped_by = conclusion.conclude(self.setup, self.trainer, self.run, trained, self._began)
                if not trained.exit_status:
                    checkpoints.keep_last(self.run)
        if trained.exit_status == following.DIVERGED:
            return trained.exit_status  # to resume would end in the same way
        if trained.exit_status:
            say(f"resume      {resume_command(self.run)}")
            return trained.exit_status
        return self._end(stopped_by)

    def follow_chief(self) -> int:
        from pigeonhole.jobs import following, trainers

        if self.config.is_resumed:
            agreement.restore_together(self.trainer, self.setup.workers)
        with following.stop_request(self.setup.workers) as request:
            try:
                exit_status = following.follow_chief(self.trainer, request)
            except Stuck:
                self.trainer = trainers.restarted(self.setup, self.trainer)
                exit_status = following.follow_chief(self.trainer, request)
        self.steps_done = self.trainer.steps_done
        return exit_status

    def _follow(self) -> "Trained":
        """Train to the end, with a second attempt where the loss does not move in the first."""
        from pigeonhole.jobs import following

        told = Told(self.callbacks, self.setup.choice.network)
        with following.stop_request(self.setup.workers) as request:
            try:
                return following.follow(self.trainer, self.run, self.config, request, told, self._interim())
            except Stuck as stuck:
                self._restart(stuck)
            return following.follow(self.trainer, self.run, self.config, request, told, self._interim())

    def _interim(self) -> "Interim":
        """What writes checkpoints for programs of TensorFlow 1."""
        from pigeonhole.model.interim import Interim

        return Interim(self.run, self.trainer.model, self.setup.sets.valid.class_names)

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

    def _begin(self) -> None:
        """Bring a resumed trainer to where it was, say what will be done, and write down what is known."""
        from pigeonhole.jobs import announcement, trainers
        from pigeonhole.runs import settings

        changes = self._changes = self._resume() if self.config.is_resumed else []
        settled = trainers.settled(self.setup, self.trainer, changes)
        say("", *announcement.lines(self.setup, settled, self.trainer, self.run))
        if changes or not self.config.is_resumed or self.setup.previous_run.is_lengthened:
            self._write_pictures()
            settings.write(self.run, self.config, settled, self.setup.sets)

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
