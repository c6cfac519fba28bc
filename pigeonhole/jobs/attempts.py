"""What `--network auto` tries: the first answer, whose model is saved at once, and then the candidates."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import keras
import numpy as np

from pigeonhole import cli
from pigeonhole.features import known
from pigeonhole.interrupts import StopRequest
from pigeonhole.jobs import candidates, conclusion, first_answer, following, mixed
from pigeonhole.jobs.candidates import Candidate, Tried
from pigeonhole.jobs.first_answer import FirstAnswer
from pigeonhole.jobs.mixed import Mixed, Saved
from pigeonhole.jobs.setup import Setup
from pigeonhole.runs import checkpoints
from pigeonhole.runs.config import SettledCandidate
from pigeonhole.runs.run import Run
from pigeonhole.terminal import counted, say, titled
from pigeonhole.training.callbacks import Listener, Told
from pigeonhole.training.distributed import agreement
from pigeonhole.training.distributed.agreement import Lead
from pigeonhole.training.failures import Diverged
from pigeonhole.training.trainer import Trainer

LEAST_SECONDS = 5.0  # in which a candidate is worth beginning


class First(NamedTuple):
    """The first answer and its model, as it was saved; None where it is to be judged anew."""

    answer: FirstAnswer
    saved: Saved | None


class Attempts:
    """`note` is called with what is settled about each candidate before its first step, `callbacks` are told
    of its steps and validations."""

    def __init__(
        self,
        setup: Setup,
        run: Run,
        note: Callable[[SettledCandidate], None],
        callbacks: Sequence[Listener] = (),
    ):
        self._setup = setup
        self._run = run
        self._note = note
        self._callbacks = callbacks
        self._known = _known(setup)

    def first_answer(self, answer: FirstAnswer, began: float) -> First:
        """Save its model, and say how good it is. `began`: when the command did, by `time.perf_counter`."""
        result = mixed.weigh(answer, [], self._setup, single=False)
        fitted = mixed.fit(result)
        at_once = mixed.answer_at_once(self._setup, self._run, answer, fitted)
        if at_once is not None:
            self._say_first(result, began)
        saved = mixed.save(self._setup, self._run, result, fitted)
        if at_once is None:
            self._say_first(result, began)
        mixed.export_first(self._run, at_once, saved)  # a server answers by it while others are tried
        together = first_answer.with_copies_together(answer, self._setup)
        self._keep_known(together)
        if not together.copies:
            return First(together, saved)
        pairs = counted(len(together.copies), "pair of pictures seems", "pairs of pictures seem")
        expected = together.expected(self._setup.sets.everything.label_indices)
        say(f"            {pairs} to show the same; with these judged together: {expected.expectation()}")
        return First(together, None)

    def _say_first(self, result: Mixed, began: float) -> None:
        seconds = time.perf_counter() - began
        say(
            f"first answer after {seconds:.0f} s: expect {result.expected.expectation()}",
            f"            it answers now: {cli.command('predict')} --model {cli.quote(self._run)} PICTURE",
        )

    def _keep_known(self, answer: FirstAnswer) -> None:
        """Write what the pretrained network sees in the pictures, by which answers are explained."""
        everything = self._setup.sets.everything
        digest_of = conclusion.digests_of(self._setup.sets)
        digests = [digest_of[name] for name in everything.names]
        known.write(self._run, everything, digests, answer.features, answer.last)

    def others(self, first: FirstAnswer, ends: float, lead: Lead) -> tuple[list[Tried], int]:
        """Train the candidates that may do better, one after the other; and the exit status of a signal.

        `ends`: when, by `time.perf_counter`, they are to have ended. `lead`: by which others take part.
        """
        chosen = self._chosen(first)
        if not chosen:
            return [], 0
        head = first.start_of_last_layer(self._setup.sets.everything.label_indices)
        tried: list[Tried] = []
        with following.stop_request(self._setup.workers) as request:
            for candidate in chosen:
                trainer, exit_status = self._attempt(candidate, head, ends, request, lead)
                if trainer is None:
                    continue
                if trainer.best is not None and exit_status != following.TERMINATED:
                    tried.append(candidates.tried(candidate, trainer))
                if exit_status:
                    return tried, exit_status
        return tried, 0

    def _chosen(self, first: FirstAnswer) -> Sequence[Candidate]:
        if self._setup.config.quick:
            return ()
        chosen = candidates.worth_trying(first, self._setup)
        if not chosen:
            say("            too few mistakes are left to do better")
        return chosen

    def _attempt(
        self,
        candidate: Candidate,
        head: tuple[np.ndarray, np.ndarray],
        ends: float,
        request: StopRequest,
        lead: Lead,
    ) -> tuple[Trainer | None, int]:
        """What has trained the candidate, None where the time would not do; and the exit status of a signal.

        A repetition tries what was tried before, whatever the time.
        """
        known = self._known.get(candidate.name)
        seconds = (ends - time.perf_counter()) * candidate.share_at(self._setup.image_size)
        if known is None and (seconds < LEAST_SECONDS or self._setup.config.repeat is not None):
            return None, 0
        say("", *titled("trying", [candidate.title]))
        if known and (state := checkpoints.ended(self._run, candidate.name)):
            alone = replace(self._setup, workers=None)
            trainer = _trainer(alone, candidate, head, known, seconds)
            trainer.restore(state)
            self._note(candidates.settled(candidate, trainer))
            return trainer, 0
        told = {"name": candidate.name, "image_size": candidate.image_size, "seconds": seconds}
        with lead.order(told):
            trainer = _trainer(self._setup, candidate, head, known, seconds)
            if trainer is None:
                say("            left out: the time would not do for one pass over the pictures")
                return None, 0
            if known is None:
                checkpoints.remove(self._run)
            self._note(candidates.settled(candidate, trainer))
            return trainer, self._train(candidate, trainer, request)

    def _train(self, candidate: Candidate, trainer: Trainer, request: StopRequest) -> int:
        """Train it to its end, from where a resumed run had come to; the exit status of a signal."""
        goes_on = self._setup.config.is_resumed and candidate.name in self._known
        if goes_on and (state := checkpoints.newest(self._run)):
            trainer.restore(state)
        if self._setup.workers:
            agreement.restore_together(trainer, self._setup.workers)
        try:
            told = Told(self._callbacks, candidate.name)
            trained = following.follow(trainer, self._run, self._setup.config, request, told)
        except Diverged as error:
            say(f"left out: {error}")
            return 0
        if trained.exit_status in (0, following.DIVERGED):
            checkpoints.set_aside(self._run, candidate.name)
            return 0
        return trained.exit_status


def follow_chief(setup: Setup, request: StopRequest) -> tuple[int, int]:
    """Take part in what the chief tries, as another worker that writes nothing; the exit status, and the
    steps of the last training."""
    known, steps = _known(setup), 0
    for told in agreement.orders(setup.workers):
        if "exit_status" in told:
            return request.exit_status or told["exit_status"], steps
        candidate = candidates.as_told(told, setup)
        trainer = _trainer(setup, candidate, None, known.get(candidate.name), told["seconds"])
        if trainer is not None:
            agreement.restore_together(trainer, setup.workers)
            following.follow_chief(trainer, request)
            steps = trainer.steps_done


def _known(setup: Setup) -> dict[str, SettledCandidate]:
    """What the previous run has settled about candidates, by their names."""
    previous = setup.previous_run
    is_same = previous and previous.weights_digest == setup.choice.weights_digest
    return {each.name: each for each in previous.candidates} if is_same else {}


def _trainer(
    setup: Setup,
    candidate: Candidate,
    head: tuple[np.ndarray, np.ndarray] | None,
    known: SettledCandidate | None,
    seconds: float,
) -> Trainer | None:
    """What trains the candidate for so long, made by all workers together; None where that would not do for
    one pass over the pictures."""
    moment = time.perf_counter()
    keras.backend.clear_session()
    trainer = candidates.make(setup, candidate, head, known)
    if known is None:
        usual = trainer.total_steps
        # No longer than usual: it would learn by heart.
        trainer.fit_within(seconds - (time.perf_counter() - moment))
        if setup.workers:
            agreement.fit_together(trainer, setup.workers)
        if trainer.total_steps < min(usual, trainer.steps_per_epoch):
            return None
    return trainer
