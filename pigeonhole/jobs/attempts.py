"""What `--network auto` tries: the first answer, whose model is saved at once, and then the candidates."""

import time
from collections.abc import Callable, Sequence
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
        previous = setup.previous_run
        is_same = previous and previous.weights_digest == setup.choice.weights_digest
        self._known = {each.name: each for each in previous.candidates} if is_same else {}

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

    def others(self, first: FirstAnswer, ends: float) -> tuple[list[Tried], int]:
        """Train the candidates that may do better, one after the other; and the exit status of a signal.

        `ends`: when, by `time.perf_counter`, they are to have ended.
        """
        chosen = self._chosen(first)
        if not chosen:
            return [], 0
        head = first.start_of_last_layer(self._setup.sets.everything.label_indices)
        tried: list[Tried] = []
        with StopRequest() as request:
            for candidate in chosen:
                trainer = self._trainer(candidate, head, ends)
                if trainer is None:
                    continue
                exit_status = self._train(candidate, trainer, request)
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

    def _trainer(
        self, candidate: Candidate, head: tuple[np.ndarray, np.ndarray], ends: float
    ) -> Trainer | None:
        """What trains the candidate for its share of the time; None where too little is left.

        A repetition tries what was tried before, whatever the time.
        """
        known = self._known.get(candidate.name)
        moment = time.perf_counter()
        seconds = (ends - moment) * candidate.share_at(self._setup.image_size)
        if known is None and (seconds < LEAST_SECONDS or self._setup.config.repeat is not None):
            return None
        say("", *titled("trying", [candidate.title]))
        keras.backend.clear_session()
        trainer = candidates.make(self._setup, candidate, head, known)
        if known is None:
            usual = trainer.total_steps
            trainer.fit_to(seconds - (time.perf_counter() - moment))
            trainer.total_steps = min(usual, trainer.total_steps)  # longer, it would learn by heart
            if trainer.total_steps < min(usual, trainer.steps_per_epoch):
                say("            left out: the time would not do for one pass over the pictures")
                return None
            checkpoints.remove(self._run)
        self._note(candidates.settled(candidate, trainer))
        return trainer

    def _train(self, candidate: Candidate, trainer: Trainer, request: StopRequest) -> int:
        """Train it to its end, from where a resumed run had come to; the exit status of a signal."""
        if state := checkpoints.ended(self._run, candidate.name):
            trainer.restore(state)
            return 0
        goes_on = self._setup.config.is_resumed and candidate.name in self._known
        if goes_on and (state := checkpoints.newest(self._run)):
            trainer.restore(state)
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
