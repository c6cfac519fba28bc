"""A training that tries several ways: the first answer after seconds, then others while they pay.

job = AutoJob(TrainingConfig(data=Path("my_photos"), network="auto"))
exit_status = job.train()
print(job.run)
"""

import functools
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pigeonhole import atomic_file
from pigeonhole.jobs import first_answer
from pigeonhole.jobs import setup as setups
from pigeonhole.jobs.job import Job, resumable, resume_command
from pigeonhole.networks.registry import AUTO
from pigeonhole.runs.config import Settled, SettledCandidate, TrainingConfig
from pigeonhole.runs.previous import PreviousRun
from pigeonhole.terminal import say, titled
from pigeonhole.training.callbacks import Listener
from pigeonhole.training.distributed import agreement

if TYPE_CHECKING:
    from pigeonhole.training.distributed.workers import Workers

MINUTES = {1_000: 2.0, 5_000: 4.0, 50_000: 10.0}  # pictures -> default budget, between them by logarithm
USUAL_SPEED = 420.0  # pictures/s that the pretrained network sees at 224 pixels where that budget is enough
MOST_TIMES = 4.0  # the budget on a slower or busy machine
SAVING = 0.12  # the share of the budget that is left for the last model and the report


class AutoJob(Job):
    """Pictures are read as soon as this object is made.

    `previous_run`: the run that is resumed or repeated. `workers`: who trains the candidates together, None
    for one process. `callbacks`: who is told of each step and validation of the candidates. Raises UsageError
    and PigeonholeError where the config does not fit itself, the data or the previous run.
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
        if config.learning_curve or config.check_unseen:
            setups.start_tensorflow(config.threads)
            from pigeonhole.jobs import findings

            findings.require(config, self.setup.sets)
        if workers:
            from pigeonhole.jobs import trainers

            trainers.require_the_same_data(self.setup)
        self._settled: list[SettledCandidate] = []
        self._changes: list[str] = []

    @functools.cached_property
    def minutes(self) -> float:
        """The budget for everything: what is asked for, or what follows from pictures and machine."""
        if self.config.minutes:
            return self.config.minutes
        usual = default_minutes(self.setup.sets.everything.num_examples)
        machine = self.setup.machine
        return usual if self.config.quick else usual * slowness(machine.threads, machine.workers)

    def _train(self) -> int:
        with self.run.held(), agreement.Lead(self.setup.workers) as lead:
            self._begin()
            with resumable(self.run):
                answer = first_answer.fit(self.setup)
                from pigeonhole.jobs import attempts, following, mixed  # TensorFlow has started by now

                ends = self._began + 60 * self.minutes * (1 - SAVING)
                trying = attempts.Attempts(self.setup, self.run, self._note, self.callbacks)
                first = trying.first_answer(answer, self._began)
                tried, exit_status = trying.others(first.answer, ends, lead)
                lead.end(exit_status)
                if exit_status == following.TERMINATED:
                    say(f"terminated  go on with: {resume_command(self.run)}")
                    return exit_status
                result = mixed.weigh(first.answer, tried, self.setup, self.config.single)
                kept = first.saved if result.is_first else None
                saved = kept or mixed.save(self.setup, self.run, result)
                mixed.conclude(self.setup, self.run, result, saved, self._began, self.minutes)
        if exit_status:
            say(f"resume      {resume_command(self.run)}")
            return exit_status
        return self._end(stopped_by=0)

    def follow_chief(self) -> int:
        from pigeonhole.training.distributed.workers import StopTogether

        with StopTogether(self.setup.workers) as request:  # before the imports, which take a second
            from pigeonhole.jobs import attempts

            exit_status, self.steps_done = attempts.follow_chief(self.setup, request)
        return exit_status

    def _begin(self) -> None:
        """Say what will be done, and write down what is known before the first step."""
        atomic_file.remove_leftovers(self.run.folder)
        if self.config.is_resumed:
            self._note_changes()
        else:
            self._write_pictures()
        self._write_settings()
        train, valid = self.setup.sets.train.num_examples, self.setup.sets.valid.num_examples
        backbone = self.setup.backbone
        first = backbone.title if backbone else "a pretrained network"
        count = self.setup.machine.workers
        say(
            "",
            *titled("network", [f"auto: {first} as it comes, then what does better"]),
            *titled("data", [f"{train:,} pictures to learn from, {valid:,} to compare by"]),
            *titled("budget", [self._budget()]),
            *titled("workers", [f"{count}; the first answer is the chief's"] if count > 1 else []),
            *titled("run", [str(self.run)]),
            "",
        )

    def _budget(self) -> str:
        """The budget, for people."""
        if self.config.quick:
            return "the time of the first answer"
        unit = "minute" if self.minutes == 1 else "minutes"
        return f"{self.minutes:.2g} {unit}; Ctrl-C keeps the best so far"

    def _note_changes(self) -> None:
        """What is different from when the resumed run was begun; of other pictures, or with another backbone,
        nothing is left to use."""
        from pigeonhole.runs import checkpoints

        before, sets = self.setup.previous_run, self.setup.sets
        of_data = before.changed_data(sets.records, sets.sides)
        digest = self.setup.choice.weights_digest
        self._changes = [*before.changed_midway, *before.changed_options(self.config, digest), *of_data]
        is_other = bool(of_data) or digest != before.weights_digest
        self._settled = [] if is_other else list(before.candidates)
        if is_other:
            checkpoints.forget_all(self.run)

    def _note(self, candidate: SettledCandidate) -> None:
        """Write down what has been settled about a candidate, before its first step."""
        self._settled = [each for each in self._settled if each.name != candidate.name] + [candidate]
        self._write_settings()

    def _write_settings(self) -> None:
        from pigeonhole.runs import settings

        settled = Settled(
            network=AUTO,
            image_size=self.setup.image_size,
            channels=self.setup.channels,
            weights_digest=self.setup.choice.weights_digest,
            machine=self.setup.machine,
            recipe=None,
            total_steps=0,
            steps_per_epoch=1,
            changes=tuple(self._changes),
            candidates=tuple(self._settled),
        )
        settings.write(self.run, self.config, settled, self.setup.sets)


def default_minutes(num_pictures: int) -> float:
    """The budget for so many pictures, on two cores of an AMD EPYC of family 26 that do nothing else."""
    counts, minutes = zip(*MINUTES.items(), strict=True)
    return float(np.interp(math.log(max(num_pictures, 1)), np.log(counts), minutes))


def slowness(threads: int, workers: int = 1) -> float:
    """How many times as long the same work takes on this machine, or so many, at present, 1 to 4.

    Takes half a second. 1 where the network that is measured by is not installed.
    """
    from pigeonhole.features import extractor, pretrained

    if not pretrained.available():
        return 1.0
    opened = extractor.open_pretrained(threads=threads)
    try:
        speed = extractor.pictures_per_second(opened)
    finally:
        opened.close()
    return float(np.clip(USUAL_SPEED / (speed * workers), 1.0, MOST_TIMES))
