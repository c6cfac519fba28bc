"""What comes of the candidates of `--network auto`: how much each counts, one saved model, one judgement."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import log_softmax

from pigeonhole import atomic_file, terminal
from pigeonhole.errors import PigeonholeError
from pigeonhole.evaluation.predictions import Evaluation
from pigeonhole.features import frozen, strangers
from pigeonhole.features.strangers import Strangers
from pigeonhole.jobs import conclusion, next_steps
from pigeonhole.jobs import findings as looking
from pigeonhole.jobs.candidates import Tried
from pigeonhole.jobs.first_answer import FirstAnswer
from pigeonhole.jobs.next_steps import CutShort
from pigeonhole.jobs.setup import Setup
from pigeonhole.model import calibration, golden, metagraph, mixing
from pigeonhole.model.classifier import Classifier
from pigeonhole.model.contract import Contract
from pigeonhole.model.export import exporting, onnx_content
from pigeonhole.networks.combining import COMBINED, Part, combine
from pigeonhole.pictures.images import Preprocessing
from pigeonhole.runs import digests, seals
from pigeonhole.runs.records import Attempt
from pigeonhole.runs.run import Run
from pigeonhole.statistics import CorrectedAccuracy

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Mixed:
    """The answer of several networks together, or of one.

    `weights`: how much each counts, that of the first answer first. `logits` float32 [m, K]: for the pictures
    `rows` of `sets.everything`, by weights that were fitted without them. `expected`: of new pictures.
    """

    first: FirstAnswer
    tried: Sequence[Tried]
    weights: np.ndarray
    rows: np.ndarray
    logits: np.ndarray
    expected: CorrectedAccuracy
    labels: np.ndarray

    def describe(self) -> str:
        """What answers, in words."""
        titles = [self.first.title, *(each.title for each in self.tried)]
        used = [title for title, weight in zip(titles, self.weights, strict=True) if weight]
        return used[0] if len(used) == 1 else f"the weighted mean of {' and '.join(used)}"

    @property
    def is_first(self) -> bool:
        """Whether the first answer alone counts."""
        return not self.weights[1:].any()

    def attempts(self) -> list[Attempt]:
        """What was tried, and what it reached on the validation pictures."""
        judging = self.first.without_copy
        valid = self.labels[self.first.num_training :][judging]
        rows = [(self.first.title, self.first.logits[judging], None)]
        rows += [(each.title, each.logits[judging], each.seconds) for each in self.tried]
        found = []
        for (title, logits, seconds), weight in zip(rows, self.weights, strict=True):
            accuracy = float((logits.argmax(axis=1) == valid).mean())
            loss = float(-log_softmax(logits, axis=1)[np.arange(len(valid)), valid].mean())
            found.append(Attempt(title, accuracy, loss, float(weight), seconds))
        return found

    def cut_short(self, minutes: float) -> CutShort | None:
        """The network that counts and that would have gained from more than so many minutes, if any."""
        for each, weight in zip(self.tried, self.weights[1:], strict=True):
            if weight and each.is_cut_short:
                return CutShort(each.title, minutes)
        return None

    def table(self) -> list[str]:
        """The attempts, for people."""
        lines = []
        for attempt in self.attempts():
            took = "" if attempt.seconds is None else f", {attempt.seconds:.0f} s"
            used = f"weight {attempt.weight:.2f}" if attempt.weight else "left out"
            share = f"{100 * attempt.accuracy:5.1f} %"
            lines.append(f"{attempt.title:38} {share}  log-loss {attempt.log_loss:.3f}  {used}{took}")
        return terminal.titled("tried", lines)


def weigh(first: FirstAnswer, tried: Sequence[Tried], setup: Setup, single: bool) -> Mixed:
    """Fit how much each network counts, on the validation pictures. `single`: the best alone counts.

    Those with a copy among the training pictures are left out: it favours what was trained on that.
    """
    labels = setup.sets.everything.label_indices
    judging = first.without_copy
    rows = np.arange(first.num_training, len(labels))[judging]
    valid = labels[rows]
    logits = [each.logits[judging] for each in (first, *tried)]
    mixture = mixing.fit(logits, valid, single)
    if not mixture.weights[1:].any():  # all pictures have an answer out of fold
        weights = np.array([1.0] + [0.0] * len(tried))
        everything = np.arange(len(labels))
        expected = first.expected(labels)
        return Mixed(first, tried, weights, everything, first.head.log_probabilities, expected, labels)
    right = float((mixture.out_of_fold.argmax(axis=1) == valid).sum())
    expected = CorrectedAccuracy(right, len(valid), 0.0, len(logits), 0)
    return Mixed(first, tried, mixture.weights, rows, mixture.out_of_fold, expected, labels)


class Fitted(NamedTuple):
    """What is fitted to the answers: the temperature, and what pictures of the known classes look like."""

    temperature: float
    known: Strangers


class Saved(NamedTuple):
    """The answers that the saved model is judged by, its weights, and what an ONNX file tells of it."""

    answers: Evaluation
    weights: list[np.ndarray]
    described: tuple[Contract, golden.Golden, np.ndarray]
    fitted: Fitted


def conclude(setup: Setup, run: Run, result: Mixed, saved: Saved, began: float, minutes: float) -> None:
    """Say how good the saved model is and what was found, write the report, and say what to do next.

    `began`: when the command did, by `time.perf_counter`. `minutes`: the budget that it had.
    """
    config, sets = setup.config, setup.sets
    if not run.onnx_file.is_file():  # that of the first answer is there, if this is its model
        at_once = made_at_once(setup, result.first, saved.fitted) if result.is_first else None
        export_first(run, at_once, saved)
    if result.tried:
        terminal.say("", *result.table())
    with Classifier.load(run, engine="tensorflow") as classifier:
        judged = conclusion.judge(saved.answers, sets, result.expected, result.is_first)
        if result.tried:
            judged = judged._replace(attempts=result.attempts())
        findings = looking.look(setup, result.first)
        terminal.say(*findings.lines())
        if not config.no_report:
            steps = next_steps.find(config, run, judged, findings, result.cut_short(minutes))
            judged = judged._replace(next_steps=steps)
            conclusion.write_report(run, sets, judged, classifier, findings)
        conclusion.test_if_asked(setup, classifier, run)
    validations = [validation for each in result.tried for validation in each.validations]
    outcome = digests.digests(saved.weights, validations, saved.answers.probabilities)
    seconds = sum(each.seconds for each in result.tried)
    conclusion.write_result(run, judged, seconds, findings, outcome)
    times = (time.perf_counter() - began, seconds)
    terminal.say(*conclusion.last_lines(run, sets, result.describe(), times, judged.next_steps))


def export_first(run: Run, model: "onnx.ModelProto | None", saved: Saved) -> None:
    """Write the saved first answer as an ONNX file, too: the `model` of `answer_at_once`, with the examples
    and the contract of the saved graph, where it gives the same answers; otherwise made of that graph."""
    if model is None:
        return export(run)
    contract, examples, probabilities = saved.described
    try:
        found = onnx_content.answer(model.SerializeToString(), examples.pixels)
        golden.check_numerics(probabilities, found, exporting.TOLERANCE)
    except golden.DriftError:
        return export(run)
    onnx_content.describe(model, saved.answers.classes, contract, examples, probabilities)
    _write_onnx(run, model)


def export(run: Run) -> None:
    """Write the saved model as an ONNX file, too, or say why there is none."""
    try:
        exporting.export(run.folder)
    except PigeonholeError as error:
        terminal.say(f"no {run.onnx_file.name}: {error}")


def fit(result: Mixed) -> Fitted:
    """By the answers out of fold."""
    first, labels = result.first, result.labels
    temperature = calibration.fit_temperature(result.logits, labels[result.rows])
    return Fitted(temperature, strangers.fit(first.features, labels, first.head.folds, first.last))


def answer_at_once(setup: Setup, run: Run, first: FirstAnswer, fitted: Fitted) -> "onnx.ModelProto | None":
    """Write the first answer as the run's ONNX file, by which it answers before there is a saved graph.

    The model in it, as of `made_at_once`.
    """
    model = made_at_once(setup, first, fitted)
    if model is None:
        return None
    preprocessing = Preprocessing(setup.image_size, setup.channels)
    examples = golden.draw(preprocessing)
    probabilities = onnx_content.answer(model.SerializeToString(), examples.pixels)
    rule = strangers.as_rejection(fitted.known, len(first.head.kernel)).describe()
    fingerprint = examples.fingerprint(probabilities)
    contract = Contract(COMBINED, preprocessing, fitted.temperature, fingerprint, rule)
    onnx_content.describe(model, setup.sets.classes, contract, examples, probabilities)
    _write_onnx(run, model)
    return model


def made_at_once(setup: Setup, first: FirstAnswer, fitted: Fitted) -> "onnx.ModelProto | None":
    """The first answer in ONNX; None where its network or its input is not what that can be made of."""
    if not first.answers_at_once(setup.image_size, setup.channels):
        return None
    head, shape = first.head, (setup.image_size, first.head.mirror_average)
    return frozen.as_onnx(head.kernel, head.bias, *shape, fitted.temperature, fitted.known)


def _write_onnx(run: Run, model: "onnx.ModelProto") -> None:
    seals.forget(run.onnx_file)
    with atomic_file.write_binary(run.onnx_file) as file:
        file.write(model.SerializeToString())
    seals.note(run.onnx_file)


def save(setup: Setup, run: Run, result: Mixed, fitted: Fitted | None = None) -> Saved:
    """Write the networks as one model into the run. `fitted`: None: that is done here."""
    sets, first = setup.sets, result.first
    fitted = fitted or fit(result)
    temperature, known = fitted
    shape = (setup.image_size, setup.channels)
    parts = [Part(frozen.NAME, first.model(shape), float(result.weights[0]))]
    parts += [
        Part(each.name, each.model, float(weight))
        for each, weight in zip(result.tried, result.weights[1:], strict=True)
        if weight
    ]
    model = combine(parts)
    labels = result.labels[result.rows]
    rule = strangers.as_rejection(known, width=model.layers[-1].input.shape[-1])
    of_graph = metagraph.Fitted(0, temperature, rule)
    described = metagraph.save(model, sets.classes, run.folder, of_graph, replace=True)
    digest_of = conclusion.digests_of(sets)
    everything = sets.everything.select(result.rows)
    answers = Evaluation(
        root=setup.config.data,
        classes=tuple(sets.classes),
        names=everything.names,
        labels=labels,
        images=everything.images,
        logits=result.logits,
        probabilities=np.exp(log_softmax(result.logits / temperature, axis=1)).astype(np.float32),
        features=first.features[result.rows],
        unsure=known.own_strangers(first.features)[result.rows],
        digests=[digest_of[name] for name in everything.names],
    )
    return Saved(answers, model.get_weights(), described, fitted)
