"""What every training has: a run's folder, and an end that says how to go on where it was stopped."""

import contextlib
import shutil
from collections.abc import Iterator, Sequence

from pigeonhole import cli
from pigeonhole.errors import PigeonholeError
from pigeonhole.interrupts import Terminated
from pigeonhole.jobs import tracking
from pigeonhole.jobs.setup import Setup
from pigeonhole.runs import creation, digests
from pigeonhole.runs.config import TrainingConfig
from pigeonhole.runs.run import Run
from pigeonhole.terminal import say
from pigeonhole.training.callbacks import Listener


class Job:
    """A training of `config` with what `setup` has read. A subclass says how in `_train`."""

    def __init__(
        self, config: TrainingConfig, setup: Setup, began: float, callbacks: Sequence[Listener] = ()
    ):
        """`began`: when the command did, by `time.perf_counter`. `callbacks`: who is told as it goes."""
        self.config = config
        self.setup = setup
        self.run: Run | None = None  # known once `train` has begun
        self.callbacks = callbacks
        self.steps_done = 0  # of the last training in which another worker than the chief took part
        self._began = began

    def train(self) -> int:
        """Train, save, judge and report; the exit status.

        0: done; 1: a repetition that came out differently, or a loss that is not a number; 128 + a signal's
        number: stopped by it. Raises Diverged where there is no network to save.
        """
        try:
            self.run = self._folder()
            with tracking.opened(self.config, self.run) as trackers:
                self.callbacks = [*self.callbacks, *trackers]
                return self._train()
        except (KeyboardInterrupt, Terminated) as interrupt:
            if self.run is None or not self._says_how_to_go_on(isinstance(interrupt, Terminated)):
                raise
            return cli.TERMINATED if isinstance(interrupt, Terminated) else cli.INTERRUPTED

    def follow_chief(self) -> int:
        """Train as one of several workers, of which the chief alone writes; the exit status.

        Raises PigeonholeError where another worker is lost.
        """
        raise NotImplementedError

    def _train(self) -> int:
        """Train, save, judge and report in the run's folder; the exit status as of `train`."""
        raise NotImplementedError

    def _folder(self) -> Run:
        if self.config.is_resumed:
            return self.setup.previous_run.run
        return creation.create(self.config.output, self.config.name)

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

    def _write_pictures(self) -> None:
        """Write the split and what each picture looks like; the settings come after, and make it a run."""
        from pigeonhole.data import split
        from pigeonhole.evaluation import leakage
        from pigeonhole.runs import seals

        seals.forget(self.run.split_file)
        sets = self.setup.sets
        split.write_split(self.run.split_file, sets.records, sets.sides)
        record_of = {record.entry.name: record for record in sets.records}
        records = [record_of[name] for name in sets.everything.names]
        seals.note(self.run.split_file)
        leakage.write(self.run, records, sets.everything.images, sets.sides)

    def _end(self, stopped_by: int) -> int:
        """The exit status of a training that is complete: nothing is left to go on with.

        `stopped_by`: that of the signal that ended a search of the data, 0 where there was none.
        """
        shutil.rmtree(self.run.checkpoints_folder)
        if self.config.repeat is None:
            return stopped_by
        before = self.setup.previous_run.run
        differing = digests.differing(digests.read(before), digests.read(self.run))
        if differing:
            say(f"repeated    not identical to {before}: other {', '.join(differing)}")
        else:
            say(f"repeated    identical to {before}: weights, history and predictions")
        return stopped_by or (1 if differing else 0)


def resume_command(run: Run) -> str:
    return f"{cli.command('train')} --resume {cli.quote(run)}"


@contextlib.contextmanager
def resumable(run: Run) -> Iterator[None]:
    """Add to the error of a full or failing disk that what the last checkpoint holds is not lost."""
    try:
        yield
    except OSError as error:
        place = f": {error.filename}" if error.filename else ""
        raise PigeonholeError(
            f"{error.strerror or error}{place}; fix that, and go on with: {resume_command(run)}"
        ) from error
