"""Doubted labels: the folds, the answers out of fold, and what is made of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from pigeonhole.data.dataset import DataSet
from pigeonhole.data.folders import Entry, Record
from pigeonhole.evaluation.studies import suspects
from pigeonhole.model.calibration import fit_temperature
from pigeonhole.training import retraining
from tests.support.small_trainings import RECIPE, retrainer, stripes


def alone(data) -> list[list[Record]]:
    """Every picture in a group of its own."""
    return [[Record(Entry(Path(), name, "any"))] for name in data.names]


class Remembering:
    """A retrainer that keeps what it trained, and on which pictures."""

    def __init__(self):
        self._real = retrainer()
        self.seed, self.recipe_for = self._real.seed, self._real.recipe_for
        self.models, self.trained_on = [], []

    def train(self, data, on_step):
        self.trained_on.append(set(data.names))
        self.models.append(self._real.train(data, on_step))
        return self.models[-1]


@pytest.fixture(scope="module")
def judged():
    """22 pictures in two folds: the first three are one picture, three others mislabelled, the last is alone
    in its class."""
    data = stripes(22)
    labels = data.label_indices.copy()
    labels[[5, 10, 15]] = 1 - labels[[5, 10, 15]]
    labels[21] = 2
    data = DataSet(data.images, labels, data.names, ["across", "upright", "alone"])
    groups = alone(data)
    remembering, told = Remembering(), []
    probabilities = suspects.out_of_fold(
        remembering,
        data,
        [groups[0] + groups[1] + groups[2], *groups[3:]],
        folds=2,
        on_step=lambda fold, progress: told.append((fold, progress.step)),
    )
    return data, probabilities, remembering, told


def test_no_network_has_seen_the_picture_or_a_copy_that_it_judges(judged):
    data, probabilities, remembering, told = judged
    assert probabilities.shape == (22, 3)
    assert probabilities.dtype == np.float32
    left_out = [set(data.names) - names for names in remembering.trained_on]
    assert sorted(name for names in left_out for name in names) == sorted(data.names)
    assert any({"0.png", "1.png", "2.png"} <= names for names in left_out)
    assert {fold for fold, _ in told} == {0, 1}
    assert (0, 1) in told


def test_the_answers_are_those_of_both_views_at_one_temperature(judged):
    data, probabilities, remembering, _ = judged
    logits = np.empty((21, 3), np.float32)
    for model, names in zip(remembering.models, remembering.trained_on, strict=True):
        rows = [row for row in range(21) if data.names[row] not in names]
        views = data.images[rows], data.images[rows][:, :, ::-1]
        logits[rows] = sum(retraining.outputs(model, view).logits for view in views) / 2
    np.testing.assert_allclose(probabilities[:21].sum(axis=1), 1, rtol=1e-5)
    ratio = (logits[:, 0] - logits[:, 1]) / np.log(probabilities[:21, 0] / probabilities[:21, 1])
    temperature = fit_temperature(logits, data.label_indices[:21])
    assert temperature > 1.1
    np.testing.assert_allclose(ratio, temperature, rtol=1e-3)


def test_a_picture_alone_in_its_class_is_not_judged(judged):
    data, probabilities, _, _ = judged
    assert np.isnan(probabilities[21]).all()
    assert np.isfinite(probabilities[:21]).all()
    assert "21.png" not in {one.name for one in find(probabilities, data.label_indices, data.names)}


def test_copies_of_one_picture_alone_are_not_judged():
    data = stripes(6)
    probabilities = suspects.out_of_fold(Remembering(), data, [[group[0] for group in alone(data)]])
    assert np.isnan(probabilities).all()


def test_the_forecast_is_that_of_so_many_trainings():
    four_epochs = replace(retrainer(), recipe_for=lambda num_pictures: RECIPE)
    assert suspects.seconds(four_epochs, 100) == pytest.approx(5 * four_epochs.seconds(80))
    assert suspects.seconds(four_epochs, 100) != pytest.approx(5 * four_epochs.seconds(100))


def find(probabilities, labels, names=None) -> list[suspects.Suspect]:
    names = names if names is not None else [f"{row}" for row in range(len(labels))]
    return suspects.find(probabilities, labels, names, "abcdefghij"[: probabilities.shape[1]])


def network(count: int, classes: int = 10, seed: int = 0, sharpness: float = 3) -> tuple:
    """Calibrated probabilities and true labels, as of a network that is right in about 70 %."""
    rng = np.random.default_rng(seed)
    probabilities = softmax(sharpness * rng.normal(size=(count, classes)), axis=1).astype(np.float32)
    labels = (probabilities.cumsum(axis=1) > rng.random((count, 1))).argmax(axis=1)
    return probabilities, labels


def flipped(labels: np.ndarray, share: float, classes: int = 10) -> tuple:
    """The labels with a share of them replaced by other classes at random, and which they are."""
    rng = np.random.default_rng(1)
    wrong = np.zeros(len(labels), bool)
    wrong[rng.permutation(len(labels))[: round(share * len(labels))]] = True
    return np.where(wrong, (labels + rng.integers(1, classes, len(labels))) % classes, labels), wrong


@pytest.mark.parametrize("temperature", [0.7, 1, 1.5])
@pytest.mark.parametrize(("share", "recall"), [(0.02, 0.5), (0.05, 0.6), (0.2, 0.6)])
def test_flipped_labels_are_found_whatever_the_networks_temperature(share, recall, temperature):
    probabilities, labels = network(5000)
    assert 0.6 < (probabilities.argmax(axis=1) == labels).mean() < 0.8
    given, wrong = flipped(labels, share)
    found = find(softmax(np.log(probabilities) / temperature, axis=1), given)
    hits = [wrong[int(one.name)] for one in found]
    assert np.sum(hits) / wrong.sum() >= recall
    assert np.mean(hits) >= 0.4
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert np.mean(hits[: len(hits) // 4]) > np.mean(hits[-len(hits) // 4 :])


def test_the_score_is_the_probability_of_a_wrong_label():
    probabilities, labels = network(20_000)
    given, wrong = flipped(labels, 0.05)
    scores = suspects.doubt(probabilities, given)
    assert scores.sum() == pytest.approx(wrong.sum(), rel=0.1)
    for low, high in ((0.2, 0.4), (0.4, 0.6), (0.6, 0.95)):
        inside = (scores >= low) & (scores < high)
        assert wrong[inside].mean() == pytest.approx(scores[inside].mean(), abs=0.08)


@pytest.mark.parametrize(("count", "most"), [(50, 3), (500, 5), (5000, 25)])
def test_of_right_labels_hardly_any_is_listed(count, most):
    assert len(find(*network(count))) <= most


@pytest.mark.parametrize("count", [60, 300])
def test_two_classes_and_few_pictures_suffice(count):
    probabilities, labels = network(count, classes=2, sharpness=6)
    given, wrong = flipped(labels, 0.1, classes=2)
    hits = [wrong[int(one.name)] for one in find(probabilities, given)]
    assert np.sum(hits) / wrong.sum() >= 0.5
    assert np.mean(hits) >= 0.4


def test_a_suspect_names_its_classes_with_their_probabilities():
    probabilities = np.tile(np.float32([0.98, 0.01, 0.01]), (50, 1))
    probabilities[7] = [0.9, 0.0, 0.1]
    labels = np.array([0] * 50)
    labels[7] = 1
    (one,) = suspects.find(probabilities, labels, [f"a/{row}" for row in range(50)], ["a", "b", "c"])
    assert (one.name, one.given, one.suggested) == ("a/7", "b", "a")
    assert (one.confidence_given, one.confidence_suggested) == pytest.approx((0, 0.9))
    assert 0.9 < one.score <= 1


def test_rows_without_an_answer_change_nothing_for_the_others():
    probabilities, labels = network(2000)
    given, _ = flipped(labels, 0.05)
    alone = find(probabilities[100:], given[100:], names=range(100, 2000))
    probabilities[:100] = np.nan
    assert find(probabilities, given) == alone != []


def test_no_pictures_have_no_suspects():
    assert find(np.empty((0, 3), np.float32), np.empty(0, int)) == []
    assert find(np.full((4, 3), np.nan, np.float32), np.arange(4) % 3) == []


def test_the_order_is_confident_learning_s():
    """By self-confidence, as the library of that paper's authors ranks."""
    rank = pytest.importorskip("cleanlab.rank", reason="cleanlab is not installed")
    probabilities, labels = network(2000)
    given, _ = flipped(labels, 0.05)
    quality = rank.get_label_quality_scores(given, probabilities.astype(np.float64))
    found = [int(one.name) for one in find(probabilities, given)]
    overlap = set(found) & set(np.argsort(quality)[: len(found)].tolist())
    assert len(found) > 50
    assert len(overlap) > 0.9 * len(found)
